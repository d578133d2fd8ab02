//! `zyre key`: makes keys, shows what others see of one, writes them for zyre C, and changes that of a network.

mod export;
mod rotate;

use crate::args::{Key, Options};
use crate::credentials::AnyKey;
use crate::failure::Failure;
use crate::key_file::{self, Privacy};
use crate::output::{Output, note};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;
use zyre_rs::{NetworkKey, NodeKey, printable};

/// The key itself: printed for its owner only, when asked for.
#[derive(Serialize)]
struct Secret<'a> {
    key: &'a str,
}

impl fmt::Display for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)
    }
}

/// What others see of a key. Its text begins with the public key, as a line of a trust file does.
#[derive(Serialize)]
struct Shown {
    public: String,
    kind: &'static str,
    /// Keys accepted besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
}

/// The line of a node for trust files.
#[derive(Serialize)]
struct TrustLine {
    public: String,
    uuid: String,
    name: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {} key", self.public, self.kind)?;
        match (&self.uuid, self.others) {
            (Some(uuid), _) => write!(f, ", UUID {uuid}"),
            (None, Some(others @ 1..)) => write!(f, ", {others} more accepted"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for TrustLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.public, printable(&self.name))
    }
}

impl From<&AnyKey> for Shown {
    fn from(key: &AnyKey) -> Self {
        let public = key.public_key().to_string();
        match key {
            AnyKey::Network(key) => {
                Self { public, kind: "network", others: Some(key.accepted() - 1), uuid: None }
            }
            AnyKey::Node(key) => {
                Self { public, kind: "node", others: None, uuid: Some(key.peer_id().to_string()) }
            }
        }
    }
}

pub(crate) fn run(options: &Options, mut output: Output, key: &Key) -> Result<(), Failure> {
    match key {
        Key::New { node: false, file } => new_network_key(&mut output, file.as_deref())?,
        Key::New { node: true, file } => new_node_key(&mut output, file.as_deref(), options.name.as_deref())?,
        Key::Show { file } => {
            let file = file.as_deref().or(in_options(options)).ok_or_else(|| which("show"))?;
            output.line(&Shown::from(&AnyKey::load(file)?))?;
        }
        Key::ExportZcert { file } => {
            let source = in_options(options).ok_or_else(|| which("export-zcert"))?;
            let file = file.clone().unwrap_or_else(|| source.with_extension("zcert"));
            output.line(&export::write(&AnyKey::load(source)?, &file, &name_for(options, &file))?)?;
        }
        Key::Rotate { file } => output.line(&rotate::rotate(file)?)?,
    }
    output.flush()
}

fn new_network_key(output: &mut Output, file: Option<&Path>) -> Result<(), Failure> {
    let key = NetworkKey::generate().map_err(Failure::Runtime)?;
    let secret = key.reveal();
    let Some(path) = file else { return output.line(&Secret { key: &secret }) };
    key_file::create(path, &Zeroizing::new(format!("{}\n", *secret)), Privacy::Secret)?;
    note(format_args!("wrote {}; nodes use it with --key-file", path.display()));
    output.line(&Shown::from(&AnyKey::Network(key)))
}

fn new_node_key(output: &mut Output, file: Option<&Path>, name: Option<&str>) -> Result<(), Failure> {
    let key = NodeKey::generate().map_err(Failure::Runtime)?;
    let name = name.map_or_else(|| file.map_or_else(|| "node".to_owned(), stem), str::to_owned);
    let secret = key.to_zcert(&name);
    let Some(path) = file else { return output.line(&Secret { key: secret.trim_end() }) };
    key_file::create(path, &secret, Privacy::Secret)?;
    let path = path.display();
    note(format_args!(
        "wrote {path}; the node uses it with --cert {path} --trust FILE, others let it in by this line in their trust file"
    ));
    let (public, uuid) = (key.public_key().to_string(), key.peer_id().to_string());
    output.line(&TrustLine { public, uuid, name })
}

fn in_options(options: &Options) -> Option<&Path> {
    options.key_file.as_deref().or(options.cert.as_deref())
}

fn name_for(options: &Options, file: &Path) -> String {
    options.name.clone().unwrap_or_else(|| stem(file))
}

fn stem(file: &Path) -> String {
    PathBuf::from(file).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn which(command: &str) -> Failure {
    Failure::Usage(format!(
        "which key? Name its file: zyre key {command} --key-file mesh.key, or --cert node.key"
    ))
}
