//! The document and the router are of the same routes.

use std::collections::BTreeSet;

use super::*;

/// The paths that axum has, from how it shows itself: it tells of them in no other way.
fn paths_of_router() -> BTreeSet<String> {
    let (router, _) = routes().split_for_parts();
    let shown = format!("{router:?}");
    let quoted = shown.split('"').skip(1).step_by(2);
    // Where nothing is has a place of its own.
    let is_route = |text: &&str| text.starts_with('/') && !text.contains("__private__");
    let paths = quoted.filter(is_route);
    paths.map(|path| path.replace("{*", "{")).collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described: BTreeSet<String> = whole().paths.paths.into_keys().collect();
    assert!(described.len() > 40, "{described:?}");
    assert_eq!(paths_of_router(), described);
}

#[test]
fn operations_have_names_of_their_own_and_say_what_they_do() {
    let mut names = BTreeSet::new();
    for (path, item) in &mut whole().paths.paths {
        for (method, operation) in operations(item) {
            let name = operation.operation_id.clone().unwrap();
            assert!(names.insert(name), "{method} {path}");
            assert!(operation.summary.is_some(), "{method} {path}");
        }
    }
}

/// Two structs of one name would be one schema, and one of them would be wrong.
#[test]
fn what_is_referred_to_is_there() {
    let json = serde_json::to_string(&whole()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in json.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}
