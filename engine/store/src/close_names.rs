//! Names that somebody may have meant.

/// At most three of `names` that are like `wanted`, the likest first.
pub(crate) fn close_names<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(2);
    let mut close: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let last = lower.rsplit('/').next().unwrap_or_default();
            let contained = !wanted.is_empty() && lower.contains(&wanted);
            let steps = distance(&wanted, &lower).min(distance(&wanted, last));
            (contained || steps <= allowed).then_some((if contained { 0 } else { steps }, name))
        })
        .collect();
    close.sort_unstable();
    close.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Letters to insert, delete or change to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, steps) in [
            ("", "", 0),
            ("sprout", "sprout", 0),
            ("sprot", "sprout", 1),
            ("kitten", "sitting", 3),
            ("", "abc", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (steps, steps), "{a} {b}");
        }
    }

    #[test]
    fn likest_first() {
        let names = ["sprout", "qwen/Qwen3-4B", "qwen/Qwen3-8B", "llama"];
        let close = |wanted| close_names(wanted, names.into_iter());
        assert_eq!(close("sprut"), ["sprout"]);
        assert_eq!(close("QWEN3-4b"), ["qwen/Qwen3-4B", "qwen/Qwen3-8B"]);
        assert_eq!(close("gpt-oss-120b"), Vec::<&str>::new());
    }
}
