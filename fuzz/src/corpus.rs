//! The committed inputs and dictionaries of a target.

use crate::Target;
use std::path::{Path, PathBuf};

/// Where a target's inputs are.
pub fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// The seeds and every committed input, in the order of their names.
///
/// # Panics
/// When the folder cannot be read.
pub fn inputs(target: &Target) -> Vec<(String, Vec<u8>)> {
    let seeds = (target.seeds)().into_iter().enumerate().map(|(at, seed)| (format!("seed {at}"), seed));
    let mut files: Vec<_> = std::fs::read_dir(folder(target))
        .expect("every target has a corpus")
        .map(|entry| entry.expect("its files can be listed").path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let data = std::fs::read(&path).expect("its files can be read");
        (path.display().to_string(), data)
    };
    seeds.chain(files.into_iter().map(read)).collect()
}

/// Puts the seeds into a folder, for libFuzzer to begin with.
///
/// # Errors
/// When it cannot be written.
pub fn write_seeds(target: &Target, folder: &Path) -> std::io::Result<()> {
    let mut seeds = (target.seeds)().into_iter().enumerate();
    seeds.try_for_each(|(at, seed)| std::fs::write(folder.join(format!("seed-{at:03}")), seed))
}

/// The tokens of a target's dictionary; empty if it has none.
///
/// # Panics
/// When a line is not `"token"` as libFuzzer reads it.
pub fn dictionary(target: &Target) -> Vec<Vec<u8>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("dictionaries").join(target.name).with_extension("dict");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| token(line).expect("a token in quotes")).collect()
}

fn token(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut token = Vec::new();
    while let Some(byte) = rest.split_off_first() {
        if *byte != b'\\' {
            token.push(*byte);
            continue;
        }
        let escape = rest.split_off_first()?;
        if *escape == b'x' {
            let digits = std::str::from_utf8(rest.split_off(..2)?).ok()?;
            token.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            token.push(*escape);
        }
    }
    Some(token)
}
