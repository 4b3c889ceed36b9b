//! Linux: pressure stall information, the thermal zones' trip points, and what sysfs knows of an interface. See
//! <https://docs.kernel.org/accounting/psi.html> and <https://docs.kernel.org/driver-api/thermal/sysfs-api.html>.

use std::fs;
use std::path::Path;

use base::{Level, LinkKind};

/// Of the last ten seconds, in percent, so much was spent waiting for memory.
const STALLED_PERCENT: f64 = 10.0;

/// The hottest zone counts.
pub(super) fn thermal() -> Option<Level> {
    let zones = fs::read_dir("/sys/class/thermal").ok()?;
    let paths = zones.filter_map(|zone| Some(zone.ok()?.path()));
    let zones = paths.filter(|path| name(path).starts_with("thermal_zone"));
    zones.filter_map(|zone| thermal_of(&zone)).max()
}

pub(super) fn memory() -> Option<Level> {
    stalled(&fs::read_to_string("/proc/pressure/memory").ok()?)
}

pub(super) fn interface_kind(name: &str) -> Option<LinkKind> {
    kind_of(&Path::new("/sys/class/net").join(name))
}

/// A zone's temperature held against its trip points; `None` if it has neither.
fn thermal_of(zone: &Path) -> Option<Level> {
    let number = |file: &str| -> Option<i64> { text(&zone.join(file))?.parse().ok() };
    let temperature = number("temp")?;
    let mut level = None;
    for point in 0.. {
        let Some(kind) = text(&zone.join(format!("trip_point_{point}_type"))) else {
            return level;
        };
        let trip = number(&format!("trip_point_{point}_temp"))?;
        let beyond = match kind.as_str() {
            "passive" => Level::Elevated,
            "hot" | "critical" => Level::Critical,
            // A fan that runs faster slows nothing down.
            _ => continue,
        };
        // Zero and less are points that are switched off.
        let reached = trip > 0 && temperature >= trip;
        level = level.max(Some(if reached { beyond } else { Level::Normal }));
    }
    level
}

fn stalled(pressure: &str) -> Option<Level> {
    let share = |who: &str| -> Option<f64> {
        let line = pressure.lines().find(|line| line.starts_with(who))?;
        let mut fields = line.split_whitespace();
        fields
            .find_map(|field| field.strip_prefix("avg10="))?
            .parse()
            .ok()
    };
    Some(if share("full")? >= STALLED_PERCENT {
        Level::Critical
    } else if share("some")? >= STALLED_PERCENT {
        Level::Elevated
    } else {
        Level::Normal
    })
}

fn kind_of(interface: &Path) -> Option<LinkKind> {
    // ARPHRD_ETHER: what looks like Ethernet to the kernel.
    const ETHERNET: &str = "1";
    let kind = text(&interface.join("type"))?;
    let has = |file: &str| interface.join(file).exists();
    Some(if name(interface).starts_with("thunderbolt") {
        LinkKind::Thunderbolt
    } else if has("wireless") || has("phy80211") {
        LinkKind::Wifi
    } else if kind == ETHERNET && !has("tun_flags") {
        LinkKind::Ethernet
    } else {
        LinkKind::Other
    })
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_memory_is_pressure() {
        let pressure = |some: &str, full: &str| {
            stalled(&format!(
                "some avg10={some} avg60=0.00 avg300=0.00 total=0\nfull avg10={full} avg60=0.00 avg300=0.00 total=0\n"
            ))
        };
        assert_eq!(pressure("0.00", "0.00"), Some(Level::Normal));
        assert_eq!(pressure("12.50", "3.00"), Some(Level::Elevated));
        assert_eq!(pressure("40.00", "10.00"), Some(Level::Critical));
        assert_eq!(stalled("nonsense"), None);
    }

    #[test]
    fn a_zone_is_held_against_its_trip_points() {
        let zone = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(zone.path().join(file), text).unwrap();
        assert_eq!(thermal_of(zone.path()), None);
        write("temp", "50000\n");
        assert_eq!(thermal_of(zone.path()), None);
        for (point, kind, trip) in [
            (0, "active", 40_000),
            (1, "passive", 80_000),
            (2, "hot", 95_000),
        ] {
            write(&format!("trip_point_{point}_type"), kind);
            write(&format!("trip_point_{point}_temp"), &format!("{trip}\n"));
        }
        for (temperature, level) in [
            ("50000", Level::Normal),
            ("80000", Level::Elevated),
            ("99000", Level::Critical),
        ] {
            write("temp", temperature);
            assert_eq!(thermal_of(zone.path()), Some(level));
        }
    }

    #[test]
    fn an_interface_is_what_sysfs_says() {
        let all = tempfile::tempdir().unwrap();
        let interface = |name: &str, kind: &str, file: Option<&str>| {
            let path = all.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("type"), kind).unwrap();
            if let Some(file) = file {
                fs::write(path.join(file), "").unwrap();
            }
            kind_of(&path)
        };
        assert_eq!(interface("eth0", "1\n", None), Some(LinkKind::Ethernet));
        assert_eq!(
            interface("wlan0", "1\n", Some("phy80211")),
            Some(LinkKind::Wifi)
        );
        assert_eq!(
            interface("thunderbolt0", "1\n", None),
            Some(LinkKind::Thunderbolt)
        );
        assert_eq!(
            interface("tap0", "1\n", Some("tun_flags")),
            Some(LinkKind::Other)
        );
        assert_eq!(interface("tun0", "65534\n", None), Some(LinkKind::Other));
        assert_eq!(kind_of(&all.path().join("gone")), None);
    }
}
