//! macOS: the process's thermal state, the kernel's memory pressure, and the system's list of interfaces.

use base::{Level, LinkKind};
use objc2_foundation::{NSProcessInfo, NSProcessInfoThermalState};
use sysctl::{Ctl, Sysctl};
use system_configuration::network_configuration::{
    SCNetworkInterface, SCNetworkInterfaceType, get_interfaces,
};

pub(super) fn thermal() -> Option<Level> {
    match NSProcessInfo::processInfo().thermalState() {
        // Fair is what a Mac that computes is: fans, no slowing down.
        NSProcessInfoThermalState::Nominal | NSProcessInfoThermalState::Fair => Some(Level::Normal),
        NSProcessInfoThermalState::Serious => Some(Level::Elevated),
        NSProcessInfoThermalState::Critical => Some(Level::Critical),
        _ => None,
    }
}

/// 1, 2 and 4 are `DISPATCH_MEMORYPRESSURE_NORMAL`, `WARN` and `CRITICAL`.
pub(super) fn memory() -> Option<Level> {
    let level = Ctl::new("kern.memorystatus_vm_pressure_level").ok()?;
    match level.value_string().ok()?.as_str() {
        "1" => Some(Level::Normal),
        "2" => Some(Level::Elevated),
        "4" => Some(Level::Critical),
        _ => None,
    }
}

pub(super) fn interface_kind(name: &str) -> Option<LinkKind> {
    let interfaces = get_interfaces();
    let found = interfaces
        .iter()
        .find(|interface| interface.bsd_name().is_some_and(|found| found == name))?;
    Some(kind_of(&found))
}

/// Thunderbolt shows as Ethernet, or as a bridge of its ports; only the name that people see tells.
fn kind_of(interface: &SCNetworkInterface) -> LinkKind {
    let name = interface.display_name();
    let is_thunderbolt = name.is_some_and(|name| name.to_string().contains("Thunderbolt"));
    match interface.interface_type() {
        Some(SCNetworkInterfaceType::IEEE80211) => LinkKind::Wifi,
        _ if is_thunderbolt => LinkKind::Thunderbolt,
        Some(SCNetworkInterfaceType::Ethernet) => LinkKind::Ethernet,
        _ => LinkKind::Other,
    }
}
