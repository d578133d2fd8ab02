//! Files with keys: read only when nobody else can, made so that nobody else can, changed as a whole or not at all.

use crate::failure::Failure;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Far above what a file of keys and comments has.
const MAX_SIZE: usize = 64 * 1024;

/// Who else may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// Its owner alone reads it: it holds a secret.
    Secret,
    /// All may read it, its owner alone writes it: what it says is believed.
    Public,
}

/// Reads a file that others cannot tamper with and, where it is secret, cannot read.
pub(crate) fn read(path: &Path, privacy: Privacy) -> Result<Zeroizing<String>, Failure> {
    let mut file = File::open(path).map_err(|error| failed(path, &error))?;
    check(&file, path, privacy).map_err(|problem| refused(path, problem))?;
    content(&mut file, path)
}

fn content(file: &mut File, path: &Path) -> Result<Zeroizing<String>, Failure> {
    // As large as it gets: growing would leave parts of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SIZE + 1));
    file.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes).map_err(|error| failed(path, &error))?;
    if bytes.len() > MAX_SIZE {
        return Err(refused(path, "it has more than 64 KiB, which is no file of keys".to_owned()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| refused(path, "it is not text".to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(unix)]
fn check(file: &File, path: &Path, privacy: Privacy) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode() & 0o777;
    let path = path.display();
    match privacy {
        Privacy::Secret if mode & 0o077 != 0 => Err(format!(
            "others can read it (mode {mode:03o}); run `chmod 600 {path}`, and change the key if somebody may have"
        )),
        Privacy::Public if mode & 0o022 != 0 => Err(format!(
            "others can change it (mode {mode:03o}); run `chmod go-w {path}`, and look whether each line of it is yours"
        )),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn check(_: &File, _: &Path, _: Privacy) -> Result<(), String> {
    Ok(())
}

/// Writes a file that must not be there yet.
pub(crate) fn create(path: &Path, text: &str, privacy: Privacy) -> Result<(), Failure> {
    let mut file = open_new(path, privacy).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            refused(path, "it is there already; choose another name or remove it".to_owned())
        }
        _ => failed(path, &error),
    })?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a key is worse than none.
        let _ = fs::remove_file(path);
        failed(path, &error)
    })
}

fn open_new(path: &Path, privacy: Privacy) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if privacy == Privacy::Secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = privacy;
    options.open(path)
}

/// Changes a secret file: whoever reads it sees all of the old text or all of the new one, and owner and mode stay.
///
/// A second file beside it holds the new text until it takes the old one's place; that it is there keeps others out.
pub(crate) fn rewrite<T>(
    path: &Path,
    change: impl FnOnce(&str) -> Result<(Zeroizing<String>, T), String>,
) -> Result<T, Failure> {
    // A link stays a link.
    let path = fs::canonicalize(path).map_err(|error| failed(path, &error))?;
    let beside = beside(&path);
    let mut next = open_new(&beside, Privacy::Secret).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => refused(
            &beside,
            "it is there, so the key is being changed just now, or that was broken off; remove it if not"
                .to_owned(),
        ),
        _ => failed(&beside, &error),
    })?;
    let changed = replace(&path, &beside, &mut next, change);
    if changed.is_err() {
        // It fails only when it has taken the other's place already.
        let _ = fs::remove_file(&beside);
    }
    changed
}

fn replace<T>(
    path: &Path,
    beside: &Path,
    next: &mut File,
    change: impl FnOnce(&str) -> Result<(Zeroizing<String>, T), String>,
) -> Result<T, Failure> {
    let mut old = File::open(path).map_err(|error| failed(path, &error))?;
    check(&old, path, Privacy::Secret).map_err(|problem| refused(path, problem))?;
    let (text, said) = change(&content(&mut old, path)?).map_err(|problem| refused(path, problem))?;
    old.metadata()
        .and_then(|old| keep_owner_and_mode(&old, next))
        .and_then(|()| next.write_all(text.as_bytes()))
        .and_then(|()| next.sync_all())
        .and_then(|()| fs::rename(beside, path))
        .map_err(|error| failed(path, &error))?;
    // The change is done; that it also outlives a power cut is asked for where the system can.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(said)
}

#[cfg(unix)]
fn keep_owner_and_mode(old: &Metadata, next: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let new = next.metadata()?;
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        fchown(next, Some(old.uid()), Some(old.gid()))?;
    }
    next.set_permissions(old.permissions())
}

#[cfg(not(unix))]
fn keep_owner_and_mode(_: &Metadata, _: &File) -> io::Result<()> {
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".changing");
    name.into()
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    refused(path, error.to_string())
}

pub(crate) fn refused(path: &Path, problem: String) -> Failure {
    Failure::KeyFile { path: path.display().to_string(), problem }
}
