//! Who is there, one per line: what `zyre peers` and `zyre scout` print.

use super::event::headers;
use super::value::Value;
use serde::Serialize;
use zyre_rs::{Headers, Peer, Sighting, printable};

/// A peer this node has met.
#[derive(Serialize)]
pub(crate) struct PeerRow<'a> {
    name: &'a str,
    uuid: String,
    endpoint: String,
    groups: Vec<String>,
    #[serde(serialize_with = "headers")]
    headers: Option<&'a Headers>,
}

impl<'a> From<&'a Peer> for PeerRow<'a> {
    fn from(peer: &'a Peer) -> Self {
        Self {
            name: &peer.name,
            uuid: peer.id.to_string(),
            endpoint: peer.endpoint.to_string(),
            groups: peer.groups.iter().map(|group| group.to_str_lossy().into_owned()).collect(),
            headers: Some(&peer.headers),
        }
    }
}

/// A node known by its beacon only, which does not tell a name.
#[derive(Serialize)]
pub(crate) struct SightingRow {
    name: Option<String>,
    uuid: String,
    endpoint: String,
}

impl SightingRow {
    /// `None` for a node that is leaving.
    pub(crate) fn of(sighting: &Sighting) -> Option<Self> {
        let endpoint = sighting.endpoint.as_ref()?.to_string();
        Some(Self { name: None, uuid: sighting.id.to_string(), endpoint })
    }
}

pub(crate) fn peer_table(peers: &[PeerRow<'_>]) -> String {
    let line = |peer: &PeerRow<'_>| {
        let groups: Vec<_> = peer.groups.iter().map(|group| printable(group)).collect();
        let headers: Vec<_> = (peer.headers.iter().flat_map(|headers| headers.iter()))
            .map(|(key, value)| format!("{}={}", printable(key), Value(value)))
            .collect();
        [
            printable(peer.name).into_owned(),
            peer.uuid.clone(),
            peer.endpoint.clone(),
            or_dash(&groups.join(",")),
            or_dash(&headers.join(" ")),
        ]
    };
    table(["NAME", "UUID", "ENDPOINT", "GROUPS", "HEADERS"], peers.iter().map(line))
}

pub(super) fn sighting_table(sightings: &[SightingRow]) -> String {
    let line = |seen: &SightingRow| {
        [or_dash(seen.name.as_deref().unwrap_or_default()), seen.uuid.clone(), seen.endpoint.clone()]
    };
    table(["NAME", "UUID", "ENDPOINT"], sightings.iter().map(line))
}

pub(super) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

/// Columns as wide as their widest cell; nothing at all without rows.
pub(crate) fn table<const N: usize>(titles: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut lines = vec![titles.map(str::to_owned)];
    lines.extend(rows);
    if lines.len() == 1 {
        return String::new();
    }
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_show_groups_and_headers() {
        let headers: Headers = [("X-ROLE", "camera"), ("A", "b")].into_iter().collect();
        let rows = [
            PeerRow {
                name: "cam\n1",
                uuid: "3F2A9C0102030405060708090A0B0C0D".to_owned(),
                endpoint: "tcp://10.0.0.1:49152".to_owned(),
                groups: vec!["CHAT".to_owned(), "LOGS".to_owned()],
                headers: Some(&headers),
            },
            PeerRow {
                name: "x",
                uuid: "4F2A9C0102030405060708090A0B0C0D".to_owned(),
                endpoint: "tcp://10.0.0.20:49152".to_owned(),
                groups: vec![],
                headers: None,
            },
        ];
        assert_eq!(
            serde_json::to_string(&rows).expect("text keys"),
            concat!(
                r#"[{"name":"cam\n1","uuid":"3F2A9C0102030405060708090A0B0C0D","endpoint":"tcp://10.0.0.1:49152","groups":["CHAT","LOGS"],"headers":{"A":"b","X-ROLE":"camera"}},"#,
                r#"{"name":"x","uuid":"4F2A9C0102030405060708090A0B0C0D","endpoint":"tcp://10.0.0.20:49152","groups":[],"headers":{}}]"#
            )
        );
        assert_eq!(
            peer_table(&rows),
            "NAME    UUID                              ENDPOINT               GROUPS     HEADERS\n\
             cam\\n1  3F2A9C0102030405060708090A0B0C0D  tcp://10.0.0.1:49152   CHAT,LOGS  A=b X-ROLE=camera\n\
             x       4F2A9C0102030405060708090A0B0C0D  tcp://10.0.0.20:49152  -          -\n"
        );
    }

    #[test]
    fn a_sighting_has_no_name() {
        let rows = [SightingRow {
            name: None,
            uuid: "3F2A9C0102030405060708090A0B0C0D".to_owned(),
            endpoint: "tcp://10.0.0.1:49152".to_owned(),
        }];
        assert_eq!(
            serde_json::to_string(&rows).expect("text keys"),
            r#"[{"name":null,"uuid":"3F2A9C0102030405060708090A0B0C0D","endpoint":"tcp://10.0.0.1:49152"}]"#
        );
        assert_eq!(
            sighting_table(&rows),
            "NAME  UUID                              ENDPOINT\n\
             -     3F2A9C0102030405060708090A0B0C0D  tcp://10.0.0.1:49152\n"
        );
    }

    #[test]
    fn nobody_prints_nothing() {
        assert_eq!(peer_table(&[]), "");
    }
}
