//! Refuses settings that cannot work, each with what to do instead.

use crate::config::Config;
use crate::net::security::Security;
use crate::proto::trust::KEY_HEADER;
use crate::wire::{Hello, HelloFields, MAX_GROUPS, MAX_HEADER_VALUE, MAX_HELLO, MAX_STRING};
use crate::{GroupName, StartError};
use std::collections::BTreeSet;

/// The header by which nodes of this crate know each other; not the user's to set.
const RESERVED_HEADER: &str = "X-ZYRE-RS";

pub(super) fn name(name: &str) -> Result<(), StartError> {
    let usable = (1..=MAX_STRING).contains(&name.len()) && !name.contains('\0');
    if usable { Ok(()) } else { Err(StartError::InvalidName { length: name.len() }) }
}

pub(super) fn headers(config: &Config) -> Result<(), StartError> {
    for (key, value) in &config.headers {
        let problem = if key.is_empty() || key.len() > MAX_STRING {
            "a key has 1 to 255 bytes; choose another key"
        } else if key == RESERVED_HEADER || key == KEY_HEADER && config.is_secured() {
            "this key is set by the node itself; choose another key"
        } else if key.contains('\0') || value.contains('\0') {
            "zyre peers cut text at a NUL; leave it out"
        } else if value.len() > MAX_HEADER_VALUE {
            "a value has at most 128 KiB; send larger data as a message"
        } else {
            continue;
        };
        return Err(StartError::InvalidHeader { key: key.clone(), problem });
    }
    Ok(())
}

/// The headers of the HELLO but the reserved one.
pub(super) fn header_bytes(config: &Config, security: &Security) -> Vec<(Vec<u8>, Vec<u8>)> {
    let own = config.headers.iter().map(|(key, value)| (key.clone().into(), value.clone().into()));
    let shown = security.public_key().map(|key| (KEY_HEADER.into(), key.to_string().into()));
    own.chain(shown).collect()
}

pub(super) fn timers(config: &Config) -> Result<(), StartError> {
    let timers = &config.timers;
    if timers.interval.is_zero() || timers.evasive.is_zero() {
        return Err(StartError::InvalidTimeout(
            "beacon interval and evasive timeout must be longer than zero",
        ));
    }
    if timers.silent < timers.evasive {
        return Err(StartError::InvalidTimeout(
            "the silent timeout must not be shorter than the evasive timeout",
        ));
    }
    if timers.expired <= timers.evasive {
        return Err(StartError::InvalidTimeout(
            "the expired timeout must be longer than the evasive timeout; shorten `evasive` or lengthen `expired`",
        ));
    }
    Ok(())
}

/// A secured beacon on the port of open nodes is one that breaks others.
pub(super) fn beacon_port(config: &Config) -> Result<(), StartError> {
    let shows = config.beacon && config.is_secured();
    if shows && config.beacon_port() == Config::BEACON_PORT {
        Err(StartError::OpenBeaconPort)
    } else {
        Ok(())
    }
}

pub(super) fn group_names(names: &[String]) -> Result<BTreeSet<GroupName>, StartError> {
    names.iter().map(|name| GroupName::try_from(name.as_str()).map_err(StartError::from)).collect()
}

/// What fits piece by piece may still be too much for one HELLO. Returns the bytes left for the names of groups.
pub(super) fn hello(
    headers: &[(Vec<u8>, Vec<u8>)],
    name: &str,
    groups: &BTreeSet<GroupName>,
) -> Result<usize, StartError> {
    let fields = HelloFields {
        endpoint: vec![b'x'; MAX_STRING],
        groups: Vec::new(),
        status: 0,
        name: name.into(),
        headers: headers.to_vec(),
    };
    let wanted = group_bytes(groups.iter());
    let mut body = Vec::new();
    // Room for the header that every node adds.
    Hello::new(fields).map_err(|_| StartError::HelloTooLarge)?.encode_body(&mut body);
    let room = MAX_HELLO.saturating_sub(body.len() + 64);
    if groups.len() > MAX_GROUPS || wanted > room { Err(StartError::HelloTooLarge) } else { Ok(room) }
}

/// What groups take in a HELLO.
pub(crate) fn group_bytes<'a>(groups: impl Iterator<Item = &'a GroupName>) -> usize {
    groups.map(|group| group.as_bytes().len() + size_of::<u32>()).sum()
}
