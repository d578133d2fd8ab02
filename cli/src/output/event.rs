//! One event as one line.

use super::value::Value;
use serde::Serialize;
use serde::ser::Serializer;
use std::borrow::Cow;
use std::fmt;
use zyre_rs::{Event, ExitReason, Headers, Message, PeerId, printable};

/// The fields of an event in the order JSON shows them.
#[derive(Serialize)]
pub(crate) struct EventLine<'a> {
    event: &'static str,
    #[serde(serialize_with = "as_text")]
    peer: PeerId,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "headers")]
    headers: Option<&'a Headers>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "reason")]
    reason: Option<ExitReason>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "frames")]
    frames: Option<&'a Message>,
}

impl<'a> From<&'a Event> for EventLine<'a> {
    fn from(event: &'a Event) -> Self {
        let mut line = Self {
            event: event.kind(),
            peer: event.peer(),
            name: event.name(),
            group: event.group().map(|group| group.to_str_lossy()),
            endpoint: None,
            headers: None,
            reason: None,
            frames: event.message(),
        };
        match event {
            Event::Enter { endpoint, headers, .. } => {
                line.endpoint = Some(endpoint.to_string());
                line.headers = Some(headers);
            }
            Event::Exit { reason, .. } => line.reason = Some(*reason),
            _ => {}
        }
        line
    }
}

pub(super) fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(super) fn headers<S: Serializer>(headers: &Option<&Headers>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        headers.iter().flat_map(|headers| headers.iter()).map(|(key, value)| (key, Value(value))),
    )
}

pub(super) fn reason<S: Serializer>(reason: &Option<ExitReason>, serializer: S) -> Result<S::Ok, S::Error> {
    reason.map(|reason| reason.as_str()).serialize(serializer)
}

fn frames<S: Serializer>(message: &Option<&Message>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(message.iter().flat_map(|message| message.frames()).map(|frame| Value(frame)))
}

/// `SHOUT    cam-1 (3F2A9C) CHAT: first | second`
impl fmt::Display for EventLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}", self.event, printable(self.name))?;
        let short = self.peer.short();
        if self.name != short {
            write!(f, " ({short})")?;
        }
        if let Some(group) = &self.group {
            write!(f, " {}", printable(group))?;
        }
        if let Some(endpoint) = &self.endpoint {
            write!(f, " {endpoint}")?;
        }
        for (key, value) in self.headers.iter().flat_map(|headers| headers.iter()) {
            write!(f, " {}={}", printable(key), Value(value))?;
        }
        match self.reason {
            Some(ExitReason::MessagesLost { count }) => write!(f, " messages-lost ({count})")?,
            Some(reason) => write!(f, " {reason}")?,
            None => {}
        }
        let mut separator = ": ";
        for frame in self.frames.iter().flat_map(|message| message.frames()) {
            write!(f, "{separator}{}", Value(frame))?;
            separator = " | ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zyre_rs::GroupName;

    const PEER: PeerId =
        PeerId::from_bytes(*b"\x3F\x2A\x9C\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D");

    fn check(line: &EventLine<'_>, json: &str, text: &str) {
        assert_eq!(serde_json::to_string(line).expect("text keys"), json);
        assert_eq!(line.to_string(), text);
    }

    fn check_event(event: Event, json: &str, text: &str) {
        check(&EventLine::from(&event), json, text);
    }

    fn group(name: &str) -> GroupName {
        GroupName::try_from(name).expect("short")
    }

    #[test]
    fn enter_shows_endpoint_and_headers() {
        let headers: Headers = [("X-ROLE", &b"camera"[..]), ("X-KEY", b"\xFF\x00")].into_iter().collect();
        let line = EventLine {
            event: "ENTER",
            peer: PEER,
            name: "cam-1",
            group: None,
            endpoint: Some("tcp://192.168.1.5:49152".to_owned()),
            headers: Some(&headers),
            reason: None,
            frames: None,
        };
        check(
            &line,
            r#"{"event":"ENTER","peer":"3F2A9C0102030405060708090A0B0C0D","name":"cam-1","endpoint":"tcp://192.168.1.5:49152","headers":{"X-KEY":{"base64":"/wA="},"X-ROLE":"camera"}}"#,
            "ENTER    cam-1 (3F2A9C) tcp://192.168.1.5:49152 X-KEY=<2 bytes, base64 /wA=> X-ROLE=camera",
        );
        let none = Headers::default();
        let json = serde_json::to_string(&EventLine { headers: Some(&none), ..line }).expect("text keys");
        assert!(json.ends_with(r#","headers":{}}"#), "{json}");
    }

    #[test]
    fn join_leave_and_leader_show_the_group() {
        let (peer, name) = (PEER, "cam-1".into());
        check_event(
            Event::Join { peer, name, group: group("CHAT") },
            r#"{"event":"JOIN","peer":"3F2A9C0102030405060708090A0B0C0D","name":"cam-1","group":"CHAT"}"#,
            "JOIN     cam-1 (3F2A9C) CHAT",
        );
        check_event(
            Event::Leave { peer, name: "x".into(), group: group("CHAT") },
            r#"{"event":"LEAVE","peer":"3F2A9C0102030405060708090A0B0C0D","name":"x","group":"CHAT"}"#,
            "LEAVE    x (3F2A9C) CHAT",
        );
        check_event(
            Event::Leader { peer, name: "x".into(), group: group("CHAT") },
            r#"{"event":"LEADER","peer":"3F2A9C0102030405060708090A0B0C0D","name":"x","group":"CHAT"}"#,
            "LEADER   x (3F2A9C) CHAT",
        );
    }

    #[test]
    fn a_shout_shows_each_frame_as_text_or_base64() {
        let message = [&b"text"[..], b"", b"\xFF\xFE"].into_iter().collect();
        check_event(
            Event::Shout { peer: PEER, name: "cam-1".into(), group: group("CHAT"), message },
            r#"{"event":"SHOUT","peer":"3F2A9C0102030405060708090A0B0C0D","name":"cam-1","group":"CHAT","frames":["text","",{"base64":"//4="}]}"#,
            r#"SHOUT    cam-1 (3F2A9C) CHAT: text | "" | <2 bytes, base64 //4=>"#,
        );
    }

    #[test]
    fn a_whisper_has_no_group() {
        check_event(
            Event::Whisper { peer: PEER, name: "Zoë".into(), message: Message::from("naïve") },
            r#"{"event":"WHISPER","peer":"3F2A9C0102030405060708090A0B0C0D","name":"Zoë","frames":["naïve"]}"#,
            "WHISPER  Zoë (3F2A9C): naïve",
        );
    }

    #[test]
    fn quiet_peers_show_no_more_than_who() {
        check_event(
            Event::Evasive { peer: PEER, name: "3F2A9C".into() },
            r#"{"event":"EVASIVE","peer":"3F2A9C0102030405060708090A0B0C0D","name":"3F2A9C"}"#,
            "EVASIVE  3F2A9C",
        );
        check_event(
            Event::Silent { peer: PEER, name: "x".into() },
            r#"{"event":"SILENT","peer":"3F2A9C0102030405060708090A0B0C0D","name":"x"}"#,
            "SILENT   x (3F2A9C)",
        );
    }

    #[test]
    fn exit_shows_the_reason() {
        check_event(
            Event::Exit { peer: PEER, name: "x".into(), reason: ExitReason::Goodbye },
            r#"{"event":"EXIT","peer":"3F2A9C0102030405060708090A0B0C0D","name":"x","reason":"goodbye"}"#,
            "EXIT     x (3F2A9C) goodbye",
        );
        check_event(
            Event::Exit { peer: PEER, name: "x".into(), reason: ExitReason::MessagesLost { count: 3 } },
            r#"{"event":"EXIT","peer":"3F2A9C0102030405060708090A0B0C0D","name":"x","reason":"messages-lost"}"#,
            "EXIT     x (3F2A9C) messages-lost (3)",
        );
    }

    #[test]
    fn a_peer_cannot_drive_the_terminal_or_forge_a_line() {
        let message = Message::from("\x1b[2J\nEXIT     other");
        let event = Event::Shout { peer: PEER, name: "a\x1b]0;b".into(), group: group("g\r"), message };
        let text = EventLine::from(&event).to_string();
        assert_eq!(text, r"SHOUT    a\u{1b}]0;b (3F2A9C) g\r: \u{1b}[2J\nEXIT     other");
        let json = serde_json::to_string(&EventLine::from(&event)).expect("text keys");
        assert!(!json.contains(char::is_control), "{json}");
    }
}
