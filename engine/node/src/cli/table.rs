//! Plain columns for people.

/// Rows under a header, columns two spaces apart. Written for a terminal: no wrapping, no lines.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([header[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths);
        let joined: Vec<String> = padded
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        joined.join("  ").trim_end().to_string() + "\n"
    };
    let mut text = line(header);
    for row in rows {
        text += &line(std::array::from_fn(|column| row[column].as_str()));
    }
    text
}

/// A number of bytes as people say it.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut value = count as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn columns_line_up() {
        let rows = [
            ["oak".to_string(), bytes(17)],
            ["hawthorn".to_string(), bytes(3 << 30)],
        ];
        expect![[r"
            NODE      FREE
            oak       17 B
            hawthorn  3.0 GiB
        "]]
        .assert_eq(&table(["NODE", "FREE"], &rows));
    }
}
