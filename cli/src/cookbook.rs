//! The cookbook: lines to copy. A test runs each of them, those that go on for as long as the others need them.

use serde::Serialize;
use std::fmt::{self, Write as _};

/// A line and what it is good for.
#[derive(Debug, Serialize)]
pub(crate) struct Recipe {
    topic: &'static str,
    does: &'static str,
    line: &'static str,
    ends: Ends,
}

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Ends {
    Itself,
    CtrlC,
}

const fn recipe(topic: &'static str, does: &'static str, line: &'static str) -> Recipe {
    Recipe { topic, does, line, ends: Ends::Itself }
}

const fn lasting(topic: &'static str, does: &'static str, line: &'static str) -> Recipe {
    Recipe { topic, does, line, ends: Ends::CtrlC }
}

const LOOK: &str = "Who is there";
const TALK: &str = "Listen and talk";
const CALL: &str = "Serve and call";
const RECORD: &str = "Record and play";
const MEASURE: &str = "Measure";
const KEYS: &str = "Secured networks: keys";
const SHELL: &str = "The shell";

/// All lines, by topic.
pub(crate) const RECIPES: &[Recipe] = &[
    recipe(LOOK, "peers with their groups and headers", "zyre peers"),
    recipe(LOOK, "the same for programs, as soon as there is one", "zyre peers --json --wait 0 --timeout 10"),
    recipe(LOOK, "which groups there are, and who is in them", "zyre groups"),
    lasting(LOOK, "who comes and goes", "zyre peers --watch"),
    recipe(LOOK, "who sends beacons, without taking part", "zyre scout"),
    recipe(LOOK, "what is wrong with this host or its network", "zyre doctor"),
    lasting(
        TALK,
        "take part as cam-1, print what is said",
        "zyre --name cam-1 --header X-ROLE=camera sub CHAT",
    ),
    recipe(TALK, "keep two seconds of a group", "zyre sub CHAT --json --timeout 2 > chat.jsonl"),
    lasting(
        TALK,
        "one field of messages that are JSON",
        "zyre sub SENSORS --filter 'temp > 20' --field temp",
    ),
    recipe(TALK, "one message", "zyre shout CHAT hello"),
    recipe(TALK, "one message of two frames", "zyre shout CHAT first second"),
    recipe(TALK, "one message per line", r"printf 'one\ntwo\n' | zyre shout CHAT"),
    recipe(TALK, "ten messages, five a second", "zyre shout CHAT tick --count 10 --rate 5"),
    lasting(TALK, "a beat every second", "zyre shout CHAT beat --rate 1 --count 1000000 --timeout 60"),
    recipe(TALK, "to one peer", "zyre whisper cam-1 status"),
    recipe(TALK, "to one peer, from a program", "date | zyre whisper cam-1"),
    recipe(TALK, "talk, until Ctrl-D", "zyre --name alice chat CHAT"),
    lasting(CALL, "a shell command as a method", "zyre serve text.upper --command 'tr a-z A-Z'"),
    lasting(
        CALL,
        "a worker of a pool, four requests at once",
        "zyre --name worker-1 serve calc.echo --echo --concurrency 4 --pool calc",
    ),
    lasting(CALL, "providers as they come and go", "zyre services --watch"),
    recipe(CALL, "who provides what", "zyre services"),
    recipe(CALL, "call whoever provides it", r#"zyre call text.upper '["loud"]'"#),
    recipe(CALL, "parameters from a program", r#"echo '{"a": 1}' | zyre call calc.echo -"#),
    recipe(CALL, "call everybody who provides it", "zyre call calc.echo '[1, 2]' --all"),
    recipe(CALL, "what a peer can be called with", "zyre methods worker-1"),
    recipe(CALL, "how a peer is doing", "zyre call rpc.stats --peer worker-1"),
    recipe(CALL, "how far away a peer is", "zyre ping worker-1 --count 3 --interval 0.2"),
    recipe(RECORD, "five seconds of a group", "zyre bag record CHAT --duration 5 -o chat.mcap"),
    recipe(RECORD, "what is in a recording", "zyre bag info -i chat.mcap"),
    recipe(RECORD, "say it again, twice as fast", "zyre bag play -i chat.mcap --rate 2"),
    recipe(MEASURE, "how often something is said", "zyre hz CHAT --duration 2"),
    recipe(MEASURE, "how many bytes are said", "zyre bw CHAT --duration 2"),
    lasting(MEASURE, "answer those that measure", "zyre bench serve"),
    recipe(MEASURE, "round trips of whispers", "zyre bench whisper --duration 1"),
    recipe(
        MEASURE,
        "calls, 16 at once, of 1000 bytes",
        "zyre bench call --clients 16 --size 1000 --duration 1",
    ),
    recipe(MEASURE, "shouts at a rate, as a table", "zyre bench shout --rate 100 --duration 1 --csv"),
    recipe(MEASURE, "how soon a new node knows the others", "zyre bench discovery --duration 1"),
    recipe(KEYS, "make the key of a network", "zyre key new mesh.key"),
    recipe(KEYS, "who is there that has the key", "zyre --key-file mesh.key peers"),
    recipe(KEYS, "make the key of one node, let it in", "zyre key new --node cam-2.key >> all.trust"),
    recipe(KEYS, "who is there that the list lets in", "zyre --cert cam-2.key --trust all.trust peers"),
    recipe(SHELL, "complete lines, live names included", "source <(zyre completions bash)"),
    recipe(SHELL, "install the manual pages", "zyre man --dir man1"),
];

impl Recipe {
    /// Whether the word is in its topic, its line or what it does.
    pub(crate) fn is_about(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        [self.topic, self.does, self.line].iter().any(|text| text.to_lowercase().contains(&word))
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = if self.ends == Ends::CtrlC { " (until Ctrl-C)" } else { "" };
        write!(f, "  # {}{until}\n  {}", self.does, self.line)
    }
}

/// The lines below their topics.
pub(crate) fn page(recipes: &[&Recipe]) -> String {
    let mut page = String::new();
    let mut topic = "";
    for recipe in recipes {
        if recipe.topic != topic {
            let gap = if topic.is_empty() { "" } else { "\n" };
            topic = recipe.topic;
            _ = writeln!(page, "{gap}{topic}");
        }
        _ = writeln!(page, "{recipe}");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_stands_above_its_lines_once() {
        let [a, b] = [recipe(LOOK, "see", "zyre peers"), lasting(TALK, "hear", "zyre sub CHAT")];
        assert_eq!(
            page(&[&a, &a, &b]),
            "Who is there\n  # see\n  zyre peers\n  # see\n  zyre peers\n\n\
             Listen and talk\n  # hear (until Ctrl-C)\n  zyre sub CHAT\n"
        );
    }

    #[test]
    fn lines_are_found_by_a_word_of_their_topic_too() {
        assert!(RECIPES.iter().any(|recipe| recipe.is_about("KEYS") && !recipe.line.contains("keys")));
        assert!(!RECIPES.iter().any(|recipe| recipe.is_about("nonsense")));
    }
}
