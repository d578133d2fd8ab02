//! A second reader of ZRE messages: a table of the fields in each body, and a loop over it.
//!
//! It shares no code with `zyre_rs::wire` and knows nothing of speed. The limits are checked on what has been read.

use std::collections::BTreeSet;

/// A field of a body.
#[derive(Clone, Copy)]
enum Field {
    /// One length byte, then bytes.
    Text,
    /// One byte.
    Number,
    /// A `Text` of 32 hexadecimal digits.
    Id,
    /// A count of four bytes, then texts with lengths of four bytes.
    Names,
    /// A count of four bytes, then names (one length byte) and values (four).
    Headers,
}

/// Each message's id and body.
const BODIES: [(u8, &[Field]); 10] = [
    (1, &[Field::Text, Field::Names, Field::Number, Field::Text, Field::Headers]),
    (2, &[]),
    (3, &[Field::Text]),
    (4, &[Field::Text, Field::Number]),
    (5, &[Field::Text, Field::Number]),
    (6, &[]),
    (7, &[]),
    (8, &[Field::Text, Field::Id]),
    (9, &[Field::Text, Field::Id]),
    (10, &[]),
];

/// What a field says. Ids are as their digits, upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Vec<u8>),
    Number(u8),
    Names(Vec<Vec<u8>>),
    Headers(Vec<(Vec<u8>, Vec<u8>)>),
}

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Too short for the prefix.
    Short,
    /// Not ZRE, version 2.
    Foreign,
    Message(Message),
}

/// A frame with the prefix of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: u8,
    pub(crate) sequence: u16,
    /// The fields that are whole.
    pub(crate) values: Vec<Value>,
    /// All fields are there.
    pub(crate) whole: bool,
    /// A limit is passed, by a claim or by what is there.
    pub(crate) over: bool,
    /// An id is no id.
    pub(crate) bad_id: bool,
}

/// Reads a frame.
pub(crate) fn read(frame: &[u8]) -> Reading {
    if frame.len() >= 2 && !frame.starts_with(&[0xAA, 0xA1])
        || frame.get(3).is_some_and(|version| *version != 2)
    {
        return Reading::Foreign;
    }
    let [_, _, id, _, high, low, body @ ..] = frame else { return Reading::Short };
    let mut message = Message {
        id: *id,
        sequence: u16::from(*high) << 8 | u16::from(*low),
        values: Vec::new(),
        whole: true,
        over: *id == 1 && frame.len() > 256 * 1024,
        bad_id: false,
    };
    let fields = BODIES.iter().find(|(known, _)| known == id).map_or(&[][..], |(_, fields)| fields);
    let mut rest = body;
    for field in fields {
        let Some(value) = field_value(*field, &mut rest, &mut message) else {
            message.whole = false;
            break;
        };
        message.values.push(value);
    }
    Reading::Message(message)
}

fn field_value(field: Field, rest: &mut &[u8], message: &mut Message) -> Option<Value> {
    Some(match field {
        Field::Number => Value::Number(*rest.split_off_first()?),
        Field::Text => Value::Text(sized(rest, 1)?.to_vec()),
        Field::Id => {
            let digits = sized(rest, 1)?;
            message.bad_id |= !is_id(digits);
            Value::Text(digits.iter().filter(|byte| **byte != b'-').map(u8::to_ascii_uppercase).collect())
        }
        Field::Names => {
            let count = number(rest, 4)?;
            message.over |= count > 1024;
            let mut names = Vec::new();
            while names.len() < count {
                let name = sized(rest, 4)?;
                message.over |= name.len() > 255;
                names.push(name.to_vec());
            }
            Value::Names(names)
        }
        Field::Headers => {
            let count = number(rest, 4)?;
            message.over |= count > 1024;
            let (mut headers, mut seen) = (Vec::new(), BTreeSet::new());
            for _ in 0..count {
                let (name, value) = (sized(rest, 1)?, sized(rest, 4)?);
                message.over |= value.len() > 128 * 1024;
                if seen.insert(name) {
                    headers.push((name.to_vec(), value.to_vec()));
                }
            }
            Value::Headers(headers)
        }
    })
}

/// 32 digits, or the same with dashes after 8, 12, 16 and 20 of them.
fn is_id(text: &[u8]) -> bool {
    let dashes = |at: &usize| [8, 13, 18, 23].contains(at);
    let digits = |without: &dyn Fn(&usize) -> bool| {
        text.iter()
            .enumerate()
            .all(|(at, byte)| if without(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() })
    };
    text.len() == 32 && digits(&|_| false) || text.len() == 36 && digits(&dashes)
}

fn number(rest: &mut &[u8], width: usize) -> Option<usize> {
    let bytes = rest.split_off(..width)?;
    Some(bytes.iter().fold(0, |number, byte| number * 256 + usize::from(*byte)))
}

fn sized<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let length = number(rest, width)?;
    rest.split_off(..length)
}
