//! In whatever pieces an answer comes, it is read as the same.

use proptest::prelude::*;

use super::families::{FAMILIES, calls};
use super::*;

/// Text out of marks, near-marks and other things.
fn fragments(marks: Vec<&'static str>) -> impl Strategy<Value = String> {
    let cut = (
        prop::sample::select(marks.clone()),
        any::<prop::sample::Index>(),
    );
    let cut = cut.prop_map(|(mark, at)| {
        let places: Vec<usize> = mark.char_indices().map(|(at, _)| at).collect();
        mark[..*at.get(&places)].to_owned()
    });
    let other = prop::sample::select(vec![
        "\n",
        " ",
        "{\"name\": \"add\", \"arguments\": ",
        "{\"x\": \"\\\"}\"}",
        "}",
        "{",
        "é",
        "<",
        "\"",
        "add",
        "x",
        ":0",
        "word",
        "[",
        "]",
        ",",
        "```",
        "```json\n",
        "function",
        "🙂",
        "to=functions.add",
        "final",
        "analysis",
    ]);
    let fragment = prop_oneof![
        3 => prop::sample::select(marks).prop_map(str::to_owned),
        1 => cut,
        4 => other.prop_map(str::to_owned),
    ];
    prop::collection::vec(fragment, 0..16).prop_map(|fragments| fragments.concat())
}

/// An answer of a family: thoughts, words, calls, and something in it that does not belong there.
fn answers(family: usize) -> impl Strategy<Value = String> {
    let family = &FAMILIES[family];
    let mut marks = family.syntax().marks();
    marks.extend(["<think>", "</think>"]);
    let part = prop_oneof![
        Just(family.call.to_owned()),
        fragments(marks.clone()),
        Just("<think>hm é</think>".to_owned()),
    ];
    let parts = prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat());
    (parts, fragments(marks), any::<prop::sample::Index>()).prop_map(|(parts, other, at)| {
        let (before, after) = parts.split_at(*at.get(&places(&parts)));
        format!("{before}{other}{after}")
    })
}

/// Where a text may be divided.
fn places(text: &str) -> Vec<usize> {
    let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    places.push(text.len());
    places
}

fn divided<'a>(text: &'a str, cuts: &[prop::sample::Index]) -> Vec<&'a str> {
    let places = places(text);
    let mut at: Vec<usize> = cuts.iter().map(|cut| *cut.get(&places)).collect();
    at.extend([0, text.len()]);
    at.sort_unstable();
    at.windows(2)
        .map(|range| &text[range[0]..range[1]])
        .collect()
}

proptest! {
    #[test]
    fn any_division_reads_the_same(
        (family, text) in (0..FAMILIES.len()).prop_flat_map(|family| (Just(family), answers(family))),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        (thinks, is_open) in prop_oneof![Just((false, false)), Just((true, false)), Just((true, true))],
        calls_max in prop_oneof![Just(1), Just(u32::MAX)],
    ) {
        let syntax = FAMILIES[family].syntax();
        let parser = || {
            let mut reading = reading(syntax, thinks.then_some(THINK), is_open);
            reading.calls_max = calls_max;
            AnswerParser::new(reading)
        };
        let whole = read(parser(), &[&text]);
        prop_assert_eq!(&read(parser(), &divided(&text, &cuts)), &whole);
        let characters: Vec<&str> = places(&text).windows(2).map(|range| &text[range[0]..range[1]]).collect();
        prop_assert_eq!(&read(parser(), &characters), &whole);
        // Arguments come after the name, and calls are counted.
        let mut count = 0;
        for piece in &whole {
            match piece {
                Piece::ToolCall { index, .. } => {
                    prop_assert_eq!(*index, count);
                    count += 1;
                }
                Piece::Arguments { index, .. } => prop_assert_eq!(index + 1, count),
                Piece::Text(_) | Piece::Reasoning(_) => {}
            }
        }
    }

    #[test]
    fn text_without_marks_stays_as_it_is(family in 0..FAMILIES.len(), words in "[a-z é\n}\"]{0,60}") {
        let syntax = FAMILIES[family].syntax();
        let pieces = read(AnswerParser::new(reading(syntax, None, false)), &[&words]);
        let expected = if words.is_empty() { vec![] } else { vec![Piece::Text(words)] };
        prop_assert_eq!(pieces, expected);
    }

    #[test]
    fn calls_of_any_arguments_are_read_as_they_were_written(
        family in 0..FAMILIES.len(),
        texts in prop::collection::vec("[ -~é\n🙂]{0,20}", 0..3),
        number in any::<i32>(),
    ) {
        let syntax = FAMILIES[family].syntax();
        let text = texts.first().cloned().unwrap_or_default();
        let arguments = serde_json::json!({"x": number, "text": text, "list": texts});
        let call = ToolCall { id: String::new(), name: "sub".to_owned(), arguments: arguments.to_string() };
        let answer = written::calls(syntax, &[call], 3);
        let read = calls(&read(AnswerParser::new(reading(syntax, None, false)), &[&answer]));
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(&read[0].0, "sub");
        prop_assert_eq!(serde_json::from_str::<Value>(&read[0].1).unwrap(), arguments);
    }
}
