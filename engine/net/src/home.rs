//! What a node says it belongs to, before anything is proven. Pure.

use base::NodeId;

use crate::ClusterId;
use crate::pairing::door::Household;

/// Length of a home in a greeting.
pub(crate) const HOME_BYTES: usize = 1 + 32;

/// What a node says it belongs to. Outside input that anyone can claim: it decides what is shown and what is tried, never
/// who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// No cluster: it waits to be paired.
    None,
    /// A cluster with a shared key.
    Key,
    /// A cluster with a roster.
    Roster(ClusterId),
}

impl Home {
    pub(crate) fn household(self) -> Household {
        match self {
            Self::None => Household::Newcomer,
            Self::Key => Household::Keyed,
            Self::Roster(_) => Household::Member,
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; HOME_BYTES] {
        let mut bytes = [0; HOME_BYTES];
        match self {
            Self::None => {}
            Self::Key => bytes[0] = 1,
            Self::Roster(ClusterId(id)) => {
                bytes[0] = 2;
                bytes[1..].copy_from_slice(&id);
            }
        }
        bytes
    }

    /// Whatever the bytes are, they are some home.
    pub(crate) fn from_bytes(bytes: &[u8; HOME_BYTES]) -> Self {
        let (kind, id) = bytes.split_first().expect("there are more than none");
        match kind {
            0 => Self::None,
            2 => Self::Roster(ClusterId(id.try_into().expect("32 of 33 are left"))),
            _ => Self::Key,
        }
    }

    /// As discovery shows it.
    pub(crate) fn to_text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Key => "key".to_owned(),
            // NodeId is 32 bytes in lowercase hex, and so is this.
            Self::Roster(ClusterId(id)) => NodeId(id).to_string(),
        }
    }

    /// What discovery showed; `None` if it makes no sense.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        match text {
            "" => Some(Self::None),
            "key" => Some(Self::Key),
            id => {
                let NodeId(id) = id.parse().ok()?;
                Some(Self::Roster(ClusterId(id)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn homes_arrive() {
        for home in [Home::None, Home::Key, Home::Roster(ClusterId([9; 32]))] {
            assert_eq!(Home::from_bytes(&home.to_bytes()), home);
            assert_eq!(Home::from_text(&home.to_text()), Some(home));
        }
        assert_eq!(Home::from_text("castle"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_text_are_read_without_harm(kind in any::<u8>(), id in any::<[u8; 32]>(), text in ".{0,80}") {
            let mut bytes = [kind; HOME_BYTES];
            bytes[1..].copy_from_slice(&id);
            let home = Home::from_bytes(&bytes);
            prop_assert_eq!(Home::from_bytes(&home.to_bytes()), home);
            if let Some(home) = Home::from_text(&text) {
                prop_assert_eq!(Home::from_text(&home.to_text()), Some(home));
            }
        }
    }
}
