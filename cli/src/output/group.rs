//! The groups that peers are in, one per line: what `zyre groups` prints.

use super::list::table;
use serde::Serialize;
use zyre_rs::{GroupName, Peer, printable};

/// A group and those in it.
#[derive(Serialize)]
pub(crate) struct GroupRow<'a> {
    group: String,
    peers: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    name: &'a str,
    uuid: String,
}

impl<'a> GroupRow<'a> {
    pub(crate) fn new(group: &GroupName, members: &[&'a Peer]) -> Self {
        let member = |peer: &&'a Peer| Member { name: &peer.name, uuid: peer.id.to_string() };
        Self { group: group.to_str_lossy().into_owned(), peers: members.iter().map(member).collect() }
    }
}

pub(crate) fn group_table(groups: &[GroupRow<'_>]) -> String {
    let line = |row: &GroupRow<'_>| {
        let names: Vec<_> = row.peers.iter().map(|peer| printable(peer.name)).collect();
        [printable(&row.group).into_owned(), row.peers.len().to_string(), names.join(",")]
    };
    table(["GROUP", "PEERS", "NAMES"], groups.iter().map(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_show_who_is_in_them() {
        let member = |name| Member { name, uuid: "3F2A9C0102030405060708090A0B0C0D".to_owned() };
        let rows = [
            GroupRow { group: "CHAT".to_owned(), peers: vec![member("cam-1"), member("x\ny")] },
            GroupRow { group: "L\n".to_owned(), peers: vec![member("cam-1")] },
        ];
        assert_eq!(
            group_table(&rows),
            "GROUP  PEERS  NAMES\nCHAT   2      cam-1,x\\ny\nL\\n    1      cam-1\n"
        );
        assert_eq!(
            serde_json::to_string(rows.last().expect("two")).expect("text keys"),
            r#"{"group":"L\n","peers":[{"name":"cam-1","uuid":"3F2A9C0102030405060708090A0B0C0D"}]}"#
        );
    }
}
