//! Key files: read only when their owner alone can, made so that they are.

use crate::failure::Failure;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;
use zyre_rs::NetworkKey;

/// Far above what a file of keys and comments has.
const MAX_SIZE: usize = 64 * 1024;

/// Reads the keys of a network.
pub(crate) fn load(path: &Path) -> Result<NetworkKey, Failure> {
    let failed = |problem: String| Failure::KeyFile { path: path.display().to_string(), problem };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    check_private(&file, path).map_err(failed)?;
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_SIZE));
    file.take(MAX_SIZE as u64).read_to_end(&mut text).map_err(|error| failed(error.to_string()))?;
    let text = std::str::from_utf8(&text).map_err(|_| failed("it is not text".to_owned()))?;
    text.parse().map_err(|error: zyre_rs::InvalidNetworkKey| failed(error.to_string()))
}

#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let (mode, path) = (mode & 0o777, path.display());
    Err(format!(
        "others can read it (mode {mode:03o}); run `chmod 600 {path}`, and change the key if somebody may have"
    ))
}

#[cfg(not(unix))]
fn check_private(_: &File, _: &Path) -> Result<(), String> {
    Ok(())
}

/// Writes a key to a file that must not be there yet, readable for its owner alone.
pub(crate) fn create(path: &Path, key: &NetworkKey) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        let problem = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "it is there already; choose another name or remove it".to_owned()
            }
            _ => error.to_string(),
        };
        Failure::KeyFile { path: path.display().to_string(), problem }
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(key.reveal().as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)
}
