//! What every state machine here shares: a transition that is not in the table does not exist.

use thiserror::Error;

/// A transition that the state it starts from does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what} that is {from} cannot become {to}")]
pub struct ForbiddenTransition {
    /// What kind of thing.
    pub what: &'static str,
    /// The state it is in.
    pub from: &'static str,
    /// The state asked for.
    pub to: &'static str,
}

/// A state with its name on the wire and in the database, and its successors.
pub trait State: Copy + PartialEq + 'static {
    /// What kind of thing has this state.
    const WHAT: &'static str;
    /// Every state.
    const ALL: &'static [Self];

    /// Its name on the wire and in the database.
    fn name(self) -> &'static str;

    /// The states that may follow.
    fn successors(self) -> &'static [Self];

    /// The state of this name.
    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }

    /// The transition to `next`, or why there is none.
    fn transition_to(self, next: Self) -> Result<Self, ForbiddenTransition> {
        if self.successors().contains(&next) {
            Ok(next)
        } else {
            Err(ForbiddenTransition { what: Self::WHAT, from: self.name(), to: next.name() })
        }
    }
}

/// Defines an enum with its names, and its table of successors. (A name is taken as a `tt`, since the derive of the
/// schema does not see into a `literal`.)
macro_rules! states {
    ($(#[$doc:meta])* $state:ident, $what:literal, {$($(#[$vdoc:meta])* $variant:ident = $name:tt -> [$($next:ident),*]),+ $(,)?}) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum $state {
            $($(#[$vdoc])* #[serde(rename = $name)] $variant,)+
        }

        impl $crate::domain::state::State for $state {
            const WHAT: &'static str = $what;
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            fn successors(self) -> &'static [Self] {
                match self { $(Self::$variant => &[$(Self::$next),*]),+ }
            }
        }
    };
}
pub(crate) use states;
