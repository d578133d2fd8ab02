//! A key as the two files that czmq's `zcert_save` writes: `FILE` with the public key, `FILE_secret` with both.

use crate::credentials::AnyKey;
use crate::failure::Failure;
use crate::key_file::{self, Privacy};
use crate::output::note;
use serde::Serialize;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

const PUBLIC_HEAD: &str = "\
#   ZeroMQ CURVE Public Certificate
#   Holds no secret; see to it that nobody changes it on its way to others.

";

/// The files made.
#[derive(Serialize)]
pub(super) struct Written {
    certificate: String,
    secret: String,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.certificate, self.secret)
    }
}

pub(super) fn write(key: &AnyKey, file: &Path, name: &str) -> Result<Written, Failure> {
    let (both, warning) = match key {
        AnyKey::Network(key) => (key.to_zcert(name), "whoever reads it is a member of the network"),
        AnyKey::Node(key) => (key.to_zcert(name), "whoever reads it can pass for this node"),
    };
    let secret = beside(file);
    key_file::create(&secret, &both, Privacy::Secret)?;
    key_file::create(file, &public_part(&both), Privacy::Public).inspect_err(|_| {
        // One without the other would be in the way of the next try.
        let _ = fs::remove_file(&secret);
    })?;
    note(format_args!("keep {} to yourself: {warning}", secret.display()));
    Ok(Written { certificate: file.display().to_string(), secret: secret.display().to_string() })
}

/// The name under which czmq looks for the secret.
fn beside(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push("_secret");
    name.into()
}

/// The certificate without its secret and the comments about that.
fn public_part(both: &str) -> String {
    let is_public = |line: &&str| !line.starts_with('#') && !line.trim_start().starts_with("secret-key");
    let lines = both.lines().filter(is_public).skip_while(|line| line.is_empty());
    PUBLIC_HEAD.to_owned() + &lines.map(|line| format!("{line}\n")).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zyre_rs::NodeKey;

    #[test]
    fn the_public_part_has_the_public_key_and_nothing_of_the_secret() {
        let key = NodeKey::from_secret([7; 32]);
        let both = key.to_zcert("cam-1");
        let public = public_part(&both);
        let secret = both.split("secret-key = \"").nth(1).expect("there").get(..40).expect("40 signs");
        assert!(!public.contains(secret) && !public.contains("secret-key"), "{public}");
        let expected =
            format!("metadata\n    name = \"cam-1\"\ncurve\n    public-key = \"{}\"\n", key.public_key());
        assert_eq!(public.strip_prefix(PUBLIC_HEAD), Some(expected.as_str()));
    }
}
