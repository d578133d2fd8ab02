use super::*;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A folder for one test; removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn folder(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zyre-bag-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A disk in memory that takes so many bytes.
#[derive(Clone)]
struct Disk(Arc<Mutex<Vec<u8>>>, usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.1 - disk.len();
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.extend(bytes.iter().take(room));
        Ok(bytes.len().min(room))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Disk {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).truncate(length as usize);
        Ok(())
    }
}

fn messages(bytes: &[u8]) -> (u64, bool) {
    let read = mcap::io::MessageReader::new(bytes);
    let (mut whole, mut error) = (0, false);
    for message in read {
        whole += u64::from(message.is_ok());
        error |= message.is_err();
    }
    (whole, !error)
}

#[test]
fn a_full_disk_keeps_all_chunks_that_fit_whole() {
    let disk = Disk(Arc::default(), 2000);
    let mut file = Growing::new(disk.clone()).expect("memory");
    let error = loop {
        // What does not compress.
        let text = format!("\"{:x}\"", file.messages().wrapping_mul(0x9E37_79B9_7F4A_7C15));
        file.write(&Topic::Whisper, file.messages(), text.as_bytes()).expect("memory");
        if let Err(error) = file.flush() {
            break error;
        }
    };
    assert!(matches!(error, McapError::Io(error) if error.kind() == io::ErrorKind::StorageFull));
    let kept = file.kept();
    assert!(kept.messages > 1 && kept.messages < file.messages());
    drop(file);
    let disk = disk.0.lock().expect("nobody panicked");
    assert_eq!(disk.len() as u64, kept.bytes);
    assert_eq!(messages(&disk), (kept.messages, false));
}

#[test]
fn a_disk_without_room_for_the_index_keeps_the_messages() {
    let mut size = 0;
    for room in [1 << 20, 700] {
        let disk = Disk(Arc::default(), room);
        let mut file = Growing::new(disk.clone()).expect("memory");
        file.write(&Topic::Event, 7, b"{}").expect("memory");
        let finished = file.finish(&BTreeMap::new(), 0);
        let disk = disk.0.lock().expect("nobody panicked");
        if room > 700 {
            assert_eq!(finished.map_err(|_| ()), Ok(Kept { messages: 1, bytes: disk.len() as u64 }));
            assert_eq!(messages(&disk), (1, true));
            size = disk.len();
        } else {
            assert!(size > room, "{size}");
            let (_, kept) = finished.expect_err("no room");
            assert_eq!(kept, Kept { messages: 1, bytes: disk.len() as u64 });
            assert_eq!(messages(&disk).0, 1);
        }
    }
}

#[test]
fn nothing_is_on_disk_before_a_chunk_is_whole() {
    let disk = Disk(Arc::default(), 1 << 20);
    let mut file = Growing::new(disk.clone()).expect("memory");
    file.flush().expect("nothing to do");
    file.write(&Topic::Whisper, 1, b"1").expect("memory");
    assert!(disk.0.lock().expect("nobody panicked").is_empty());
    file.flush().expect("room");
    let disk = disk.0.lock().expect("nobody panicked");
    assert_eq!((messages(&disk).0, disk.len() as u64), (1, file.kept().bytes));
}
