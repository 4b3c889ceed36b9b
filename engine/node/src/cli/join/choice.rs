//! Whom to pair with, from what the node sees and what the command line says. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::super::failure::CommandFailure;

/// Fewer digits of an id name nobody.
const ID_DIGITS_MIN: usize = 4;
/// As many digits of an id as people are shown.
const ID_DIGITS_SHOWN: usize = 8;

/// The part of the admin API's membership that matters here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Membership {
    by_key: bool,
    members: Vec<Value>,
    nearby: Vec<Near>,
    pub(super) pairing: Option<Pairing>,
}

#[derive(Debug, Clone, Deserialize)]
struct Near {
    id: String,
    name: String,
    belongs: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Pairing {
    pub(super) node_id: String,
    pub(super) name: String,
    pub(super) stage: Stage,
    pub(super) digits: Option<String>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Calling,
    Compare,
    Done,
    Ended,
}

impl Pairing {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Calling | Stage::Compare)
    }
}

/// What the command line says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) named: Option<&'a str>,
    /// Whether only a pairing that the other one has started will do.
    pub(super) answer_only: bool,
}

/// Whom to pair with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) id: String,
    /// Whether it has begun.
    pub(super) under_way: bool,
}

pub(super) fn choose(
    membership: &Membership,
    wanted: Wanted<'_>,
) -> Result<Chosen, CommandFailure> {
    if membership.by_key {
        return Err(CommandFailure::with_hint(
            "computers join this cluster with a shared key; there is nothing to pair",
            "start the other one with the same --cluster-key",
        ));
    }
    let open = membership.pairing.as_ref().filter(|now| now.is_open());
    if let Some(pairing) = open {
        return under_way(pairing, wanted);
    }
    if wanted.answer_only {
        return Err(CommandFailure::with_hint(
            "no pairing is under way",
            "start it on the other computer, and give the digits that it shows",
        ));
    }
    let is_member = !membership.members.is_empty();
    let able = membership
        .nearby
        .iter()
        .filter(|near| near.belongs == "newcomer" || (near.belongs == "elsewhere" && !is_member))
        .filter(|near| {
            wanted
                .named
                .is_none_or(|named| is(named, &near.name, &near.id))
        });
    let able: Vec<&Near> = able.collect();
    match able.as_slice() {
        [one] => Ok(Chosen {
            id: one.id.clone(),
            under_way: false,
        }),
        [] => Err(nobody(wanted.named)),
        several => Err(CommandFailure::with_hint(
            "several computers could be meant",
            format!("name one of them, or how its id begins: {}", list(several)),
        )),
    }
}

fn under_way(pairing: &Pairing, wanted: Wanted<'_>) -> Result<Chosen, CommandFailure> {
    let meant = wanted
        .named
        .is_none_or(|named| is(named, &pairing.name, &pairing.node_id));
    if meant {
        return Ok(Chosen {
            id: pairing.node_id.clone(),
            under_way: true,
        });
    }
    let message = format!("this computer is being paired with {}", pairing.name);
    Err(CommandFailure::with_hint(
        message,
        "wait until that is over",
    ))
}

fn is(named: &str, name: &str, id: &str) -> bool {
    let named = named.to_lowercase();
    let by_id = named.len() >= ID_DIGITS_MIN && id.starts_with(&named);
    by_id || name.to_lowercase() == named
}

fn nobody(named: Option<&str>) -> CommandFailure {
    let what = named.map_or_else(String::new, |named| format!(" called {named}"));
    CommandFailure::with_hint(
        format!("no computer{what} is seen that could be paired"),
        "start Espalier on it; both must take part in the network (\"Join cluster\"), and one of them be in no cluster yet",
    )
}

fn list(several: &[&Near]) -> String {
    let one = |near: &&Near| {
        let id = near.id.get(..ID_DIGITS_SHOWN).unwrap_or(&near.id);
        format!("{} ({id})", near.name)
    };
    let all: Vec<String> = several.iter().map(one).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    /// `others` are nodes nearby, each `name id belongs`.
    fn check(others: &[&str], pairing: &Value, named: Option<&str>, expected: &Expect) {
        let others = others.iter().map(|words| {
            let [name, id, belongs] = words.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{words}");
            };
            json!({"id": id, "name": name, "cluster_name": "", "belongs": belongs})
        });
        let membership = json!({
            "by_key": false,
            "members": [],
            "nearby": others.collect::<Vec<_>>(),
            "pairing": pairing,
            "notice": null,
        });
        let membership = serde_json::from_value(membership).unwrap();
        let wanted = Wanted {
            named,
            answer_only: false,
        };
        let text = match choose(&membership, wanted) {
            Ok(chosen) => format!("{chosen:?}"),
            Err(failure) => failure.to_string(),
        };
        expected.assert_eq(&text);
    }

    const ORCHARD: [&str; 4] = [
        "Study aaaa0000 newcomer",
        "Attic bbbb0000 elsewhere",
        "Attic cccc0000 newcomer",
        "Cellar dddd0000 ours",
    ];

    #[test]
    fn one_is_taken_and_of_several_one_must_be_named() {
        check(
            &ORCHARD[..1],
            &Value::Null,
            None,
            &expect![[r#"Chosen { id: "aaaa0000", under_way: false }"#]],
        );
        check(
            &ORCHARD,
            &Value::Null,
            None,
            &expect![[r"
                several computers could be meant
                hint: name one of them, or how its id begins: Study (aaaa0000), Attic (bbbb0000), Attic (cccc0000)"]],
        );
        check(
            &ORCHARD,
            &Value::Null,
            Some("study"),
            &expect![[r#"Chosen { id: "aaaa0000", under_way: false }"#]],
        );
        check(
            &ORCHARD,
            &Value::Null,
            Some("cccc"),
            &expect![[r#"Chosen { id: "cccc0000", under_way: false }"#]],
        );
        check(
            &ORCHARD,
            &Value::Null,
            Some("Cellar"),
            &expect![[r#"
                no computer called Cellar is seen that could be paired
                hint: start Espalier on it; both must take part in the network ("Join cluster"), and one of them be in no cluster yet"#]],
        );
    }

    #[test]
    fn a_pairing_under_way_comes_first() {
        let pairing = json!({"node_id": "aaaa0000", "name": "Study", "started_here": false,
            "stage": "compare", "digits": "012345", "error": null});
        check(
            &ORCHARD,
            &pairing,
            None,
            &expect![[r#"Chosen { id: "aaaa0000", under_way: true }"#]],
        );
        check(
            &ORCHARD,
            &pairing,
            Some("Attic"),
            &expect![[r"
                this computer is being paired with Study
                hint: wait until that is over"]],
        );
    }
}
