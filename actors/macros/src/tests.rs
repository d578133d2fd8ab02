//! What is said when a message is not right, and which of the user's tokens it points at.

use crate::expand::expand;

/// The error for `source`, and the text it points at.
fn refused(source: &str) -> (String, String) {
    let error = match syn::parse_str(source).and_then(|input| expand(&input)) {
        Ok(_) => panic!("accepted: {source}"),
        Err(error) => error,
    };
    (error.to_string(), error.span().source_text().unwrap_or_default())
}

fn accepted(source: &str) {
    if let Err(error) = syn::parse_str(source).and_then(|input| expand(&input)) {
        panic!("refused: {source}: {error}");
    }
}

/// Each is refused, at the tokens in the second place, with the words in the third.
fn check(cases: &[(&str, &str, &str)]) {
    for &(source, at, words) in cases {
        let (message, pointed_at) = refused(source);
        assert_eq!(pointed_at, at, "{source}: {message}");
        assert!(message.contains(words), "{source}: {message}");
    }
}

#[test]
fn a_message_without_a_name_is_told_how_to_give_one() {
    check(&[
        ("struct Add { a: i64 }", "Add", "add `#[remote(\"service.method\")]`"),
        ("#[remote] struct Add;", "#[remote]", "the name comes first"),
        ("#[remote = \"calc.add\"] struct Add;", "#[remote = \"calc.add\"]", "the name comes first"),
        ("#[remote(idempotent)] struct Add;", "idempotent", "the name comes first"),
        ("#[remote(name = \"calc.add\")] struct Add;", "name", "the name comes first"),
    ]);
    assert!(refused("#[remote()] struct Add;").0.contains("the name comes first"));
}

#[test]
fn a_name_that_cannot_be_called_is_refused_at_its_place() {
    let long = format!("\"{}\"", "x".repeat(201));
    let cases = [
        ("\"\"", "is empty"),
        (&*long, "201 bytes"),
        ("\"calc add\"", "contains ' '"),
        ("\"calc.größe\"", "contains 'ö'"),
        ("\"calc.\"", "nothing before or after"),
        ("\".add\"", "nothing before or after"),
        ("\"calc..add\"", "nothing before or after"),
        ("\"rpc.ping\"", "begins with `rpc.`"),
    ];
    for (name, words) in cases {
        check(&[(&format!("#[remote({name})] struct Add;"), name, words)]);
        let (message, _) = refused(&format!("#[remote({name})] struct Add;"));
        assert!(message.contains("such as `calc.add` or `echo`"), "{message}");
    }
}

#[test]
fn names_of_one_word_and_of_several_are_taken() {
    for name in ["echo", "calc.add", "lab-2/calc.add_all", "a.b.c", "rpc", "rpcx.ping", &"x".repeat(200)] {
        accepted(&format!("#[remote({name:?})] struct Add;"));
    }
}

#[test]
fn options_that_are_wrong_are_pointed_at() {
    check(&[
        ("#[remote(\"a\", idempotnt)] struct A;", "idempotnt", "the options are `idempotent`, `code"),
        ("#[remote(\"a\", \"b\")] struct A;", "\"b\"", "the options are"),
        ("#[remote(\"a\", idempotent, idempotent)] struct A;", "idempotent", "given twice"),
        ("#[remote(\"a\", idempotent = true)] struct A;", "=", "takes no value"),
        ("#[remote(\"a\", result = u8, result = u8)] struct A;", "result", "given twice"),
        ("#[remote(\"a\", result = \"Result<\")] struct A;", "\"Result<\"", "no type"),
        (
            "#[remote(\"a\", result = \"Result<u8, E>\", code = 7)] struct A;",
            "7",
            "path of a `fn(&E) -> i64`",
        ),
        ("#[remote(\"a\", code = E::code)] struct A;", "E::code", "this message gives none"),
        ("#[remote(\"a\")] #[remote(\"b\")] struct A;", "#[remote(\"b\")]", "say it once"),
    ]);
}

#[test]
fn a_result_said_in_two_ways_is_refused() {
    check(&[
        ("#[remote(\"a\", result = u8)] #[rtype(result = \"u8\")] struct A;", "result", "say it once"),
        ("#[remote(\"a\")] #[rtype(u8)] #[rtype(u8)] struct A;", "#[rtype(u8)]", "say it once"),
        ("#[remote(\"a\")] #[rtype(reply = \"u8\")] struct A;", "reply", "only `result` is known"),
    ]);
}

#[test]
fn what_cannot_be_a_message_is_told_why() {
    check(&[
        ("#[remote(\"a\")] union A { a: u8 }", "union", "cannot travel"),
        ("#[remote(\"a\")] struct A<T> { a: T }", "T", "one type"),
        ("#[remote(\"a\")] struct A<'a> { a: &'a str }", "'a", "owns its data"),
        ("#[remote(\"a\")] struct A<const N: usize> { a: [u8; N] }", "const N: usize", "one type"),
    ]);
}

#[test]
fn every_way_in_which_actix_takes_a_result_is_taken() {
    for rtype in [
        "result = \"Result<u8, E>\"",
        "result = \"std::result::Result<u8, E>\"",
        "result = u8",
        "result = a::B",
        "\"u8\"",
        "u8",
        "result = Result<u8, E>",
    ] {
        accepted(&format!("#[remote(\"a\")] #[rtype({rtype})] struct A;"));
    }
}
