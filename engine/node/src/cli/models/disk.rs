//! `espalier models du` and `clean`: what models take of the disks, what to delete for room, and what nobody needs any more.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Target, agreed, items, text};
use crate::cli::client::Client;
use crate::cli::failure::CommandFailure;
use crate::cli::table::{bytes, table};

pub(super) async fn du(
    target: &Target,
    suggest: Option<u64>,
    json: bool,
) -> Result<(), CommandFailure> {
    let client = Client::new(target);
    if let Some(needed) = suggest {
        let room = client
            .get(&format!("/admin/disk/room?bytes={needed}"))
            .await?;
        if json {
            println!("{room}");
        } else {
            print!("{}", suggestion(&room, needed, unix_ms()));
        }
        return Ok(());
    }
    let usage = client.get("/admin/disk").await?;
    if json {
        println!("{usage}");
    } else {
        print!("{}", all(&usage, unix_ms()));
    }
    Ok(())
}

/// Shows what may go, and removes it if somebody agrees.
pub(super) async fn clean(target: &Target, dry_run: bool, yes: bool) -> Result<(), CommandFailure> {
    let client = Client::new(target);
    let usage = client.get("/admin/disk").await?;
    let (goes, stays): (Vec<Value>, Vec<Value>) = items(&usage["leftovers"])
        .iter()
        .cloned()
        .partition(|one| one["stays"].is_null());
    print!("{}", leftovers(&stays, "LEFT ALONE"));
    if goes.is_empty() {
        println!("There is nothing to clean up.");
        return Ok(());
    }
    print!("{}", leftovers(&goes, "TO REMOVE"));
    if dry_run {
        return Ok(());
    }
    if !yes && !agreed(&format!("Remove {} of that?", bytes(sum(&goes))))? {
        println!("Nothing was removed.");
        return Ok(());
    }
    let paths: Vec<&Value> = goes.iter().map(|one| &one["path"]).collect();
    let cleaned = client
        .post("/admin/disk/clean", &json!({"paths": paths}))
        .await?;
    let (removed, stays): (Vec<Value>, Vec<Value>) = items(&cleaned["leftovers"])
        .iter()
        .cloned()
        .partition(|one| one["stays"].is_null());
    print!("{}", leftovers(&stays, "NOT REMOVED"));
    println!(
        "Removed {}, {}.",
        count(removed.len(), "leftover"),
        bytes(sum(&removed))
    );
    Ok(())
}

fn count(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn sum(rows: &[Value]) -> u64 {
    rows.iter().map(size).sum()
}

fn size(row: &Value) -> u64 {
    row["bytes"].as_u64().unwrap_or_default()
}

/// Everything there is, in words, the largest model first: that is what is looked for.
fn all(usage: &Value, now_ms: u64) -> String {
    let models = items(&usage["models"]).iter();
    let mut rows: Vec<(u64, [String; 4])> = models
        .map(|model| (size(model), row(model, now_ms)))
        .collect();
    let downloads = items(&usage["downloads"]).iter();
    rows.extend(downloads.map(|download| {
        let (name, folder) = (text(download, "model"), text(download, "folder"));
        let size = size(download);
        (
            size,
            [name, bytes(size), "not whole yet".to_owned(), folder],
        )
    }));
    rows.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let total = rows.iter().map(|row| row.0).sum();
    let mut rows: Vec<[String; 4]> = rows.into_iter().map(|row| row.1).collect();
    rows.push(["all".to_owned(), bytes(total), String::new(), String::new()]);
    let mut told = table(HEADER, &rows);
    told += "\n";
    told += &table(["FOLDER", "FREE", ""], &folders(usage));
    let left = items(&usage["leftovers"]);
    if !left.is_empty() {
        told += "\n";
        told += &leftovers(left, "LEFT OVER");
        told += "`espalier models clean` removes what nobody needs.\n";
    }
    told
}

const HEADER: [&str; 4] = ["MODEL", "SIZE", "LAST OPEN", "FOLDER"];

fn row(model: &Value, now_ms: u64) -> [String; 4] {
    let used = match (
        model["is_open"] == true,
        model["last_used_unix_ms"].as_u64(),
    ) {
        (true, _) => "now".to_owned(),
        (false, Some(then)) => ago(now_ms.saturating_sub(then)),
        (false, None) => "-".to_owned(),
    };
    [
        text(model, "model"),
        bytes(size(model)),
        used,
        text(model, "folder"),
    ]
}

fn folders(usage: &Value) -> Vec<[String; 3]> {
    let rows = items(&usage["folders"]).iter().map(|folder| {
        let what = match folder["kind"].as_str().unwrap_or_default() {
            "own" => "this node's",
            "writable" => "downloads may go there",
            "hugging_face_cache" => "of Hugging Face's own tools, only read",
            _ => "only read",
        };
        let free = folder["free_bytes"].as_u64();
        let (free, what) = match folder["available"].as_bool() {
            Some(true) => (free.map_or_else(String::new, bytes), what.to_owned()),
            _ => ("-".to_owned(), format!("{what}; not there now")),
        };
        [text(folder, "path"), free, what]
    });
    rows.collect()
}

fn leftovers(left: &[Value], title: &str) -> String {
    if left.is_empty() {
        return String::new();
    }
    let rows = left.iter().map(|one| {
        let what = match one["stays"].as_str() {
            Some(why) => format!("{} (stays: {why})", text(one, "what")),
            None => text(one, "what"),
        };
        [text(one, "path"), bytes(size(one)), what]
    });
    table([title, "SIZE", "WHAT IT IS"], &rows.collect::<Vec<_>>())
}

fn suggestion(room: &Value, needed: u64, now_ms: u64) -> String {
    let models = items(&room["models"]);
    if models.is_empty() {
        return "There is no model here that could be deleted.\n".to_owned();
    }
    let rows: Vec<[String; 4]> = models.iter().map(|model| row(model, now_ms)).collect();
    let told = table(HEADER, &rows);
    let freed = bytes(size(room));
    if room["is_enough"] == true {
        format!("{told}`espalier models delete` of these frees {freed}.\n")
    } else {
        let needed = bytes(needed);
        format!("{told}Deleting all of these frees {freed}, less than {needed}.\n")
    }
}

fn ago(ms: u64) -> String {
    let hours = ms / 3_600_000;
    match hours {
        0 => "within the hour".to_owned(),
        1..48 => format!("{} ago", count(hours as usize, "hour")),
        _ => format!("{} days ago", hours / 24),
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Understands a number of bytes, as `espalier` itself says them or as they are typed: `5000000000`, `5 GiB`, `5G`.
pub(in crate::cli) fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KIB" | "KB" => 10,
        "M" | "MIB" | "MB" => 20,
        "G" | "GIB" | "GB" => 30,
        "T" | "TIB" | "TB" => 40,
        _ => return Err("a number of bytes, such as 5000000000 or 5G".to_owned()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "it begins with no number".to_owned())?;
    Ok((number * (1_u64 << shift) as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const DAY_MS: u64 = 24 * 3_600_000;

    fn model(name: &str, gib: u64, days_ago: Option<u64>, is_open: bool) -> Value {
        json!({"model": name, "bytes": gib << 30, "folder": "/models", "is_open": is_open,
            "last_used_unix_ms": days_ago.map(|days| (100 - days) * DAY_MS)})
    }

    #[test]
    fn everything_is_told() {
        let usage = json!({
            "folders": [
                {"path": "/disk", "kind": "writable", "available": false, "free_bytes": null},
                {"path": "/models", "kind": "own", "available": true, "free_bytes": 9_u64 << 30},
                {"path": "/hub", "kind": "hugging_face_cache", "available": true, "free_bytes": 9_u64 << 30},
            ],
            "models": [model("a/small", 1, Some(9), false), model("a/large", 4, Some(1), true), model("b", 1, None, false)],
            "downloads": [{"model": "c/half", "bytes": 2_u64 << 30, "folder": "/disk"}],
            "leftovers": [
                {"path": "/models/.deleted-x", "bytes": 5, "what": "a deletion that was cut short", "stays": null},
                {"path": "/models/y", "bytes": 7, "what": "y is not whole", "stays": "it is yours"},
            ],
        });
        expect![[r"
            MODEL    SIZE     LAST OPEN      FOLDER
            a/large  4.0 GiB  now            /models
            c/half   2.0 GiB  not whole yet  /disk
            a/small  1.0 GiB  9 days ago     /models
            b        1.0 GiB  -              /models
            all      8.0 GiB

            FOLDER   FREE
            /disk    -        downloads may go there; not there now
            /models  9.0 GiB  this node's
            /hub     9.0 GiB  of Hugging Face's own tools, only read

            LEFT OVER           SIZE  WHAT IT IS
            /models/.deleted-x  5 B   a deletion that was cut short
            /models/y           7 B   y is not whole (stays: it is yours)
            `espalier models clean` removes what nobody needs.
        "]]
        .assert_eq(&all(&usage, 100 * DAY_MS));
    }

    #[test]
    fn what_to_delete_is_told() {
        let room = |is_enough| json!({"models": [model("a/old", 3, Some(50), false)], "bytes": 3_u64 << 30, "is_enough": is_enough});
        expect![[r"
            MODEL  SIZE     LAST OPEN    FOLDER
            a/old  3.0 GiB  50 days ago  /models
            `espalier models delete` of these frees 3.0 GiB.
        "]]
        .assert_eq(&suggestion(&room(true), 1 << 30, 100 * DAY_MS));
        let all = suggestion(&room(false), 4 << 30, 100 * DAY_MS);
        assert!(
            all.ends_with("frees 3.0 GiB, less than 4.0 GiB.\n"),
            "{all}"
        );
        let none = json!({"models": [], "bytes": 0, "is_enough": false});
        assert!(suggestion(&none, 1, 0).contains("no model"));
    }

    #[test]
    fn bytes_are_understood_as_people_type_them() {
        for (text, expected) in [
            ("5000000000", 5_000_000_000),
            ("5G", 5 << 30),
            ("1.5 GiB", 3 << 29),
            ("20mb", 20 << 20),
            ("0", 0),
        ] {
            assert_eq!(parse_bytes(text), Ok(expected), "{text}");
        }
        for wrong in ["", "G", "-5", "5 apples", "1.2.3"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
