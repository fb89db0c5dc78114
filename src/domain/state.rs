//! State machines. A transition that is not in the table of a status is an error.

use thiserror::Error;

/// A transition that the current status does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what} that is {from} cannot be {to}")]
pub struct ForbiddenTransition {
    /// The type of the resource, such as `order`.
    pub what: &'static str,
    /// The name of the current status.
    pub from: &'static str,
    /// The name of the requested status.
    pub to: &'static str,
}

/// An enum whose values have a name on the wire and in the database, and successors.
pub trait State: Copy + PartialEq + 'static {
    /// The type that has these values, such as `order`.
    const WHAT: &'static str;
    /// All values, in the order of their definition.
    const ALL: &'static [Self];

    /// Returns the name on the wire and in the database.
    fn name(self) -> &'static str;

    /// Returns the values to which this one may change.
    fn successors(self) -> &'static [Self];

    /// Returns the value of this name; `None` if there is none.
    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }

    /// Returns `next`.
    ///
    /// # Errors
    ///
    /// [`ForbiddenTransition`] if `next` is not a successor.
    fn transition_to(self, next: Self) -> Result<Self, ForbiddenTransition> {
        if self.successors().contains(&next) {
            Ok(next)
        } else {
            Err(ForbiddenTransition { what: Self::WHAT, from: self.name(), to: next.name() })
        }
    }
}

/// Defines an enum with its names and its table of successors. Enums that never change, such as the kind of a product,
/// have no successors: they need the same names on the wire and in the database, so that a second macro would repeat
/// all but one function. (A name is taken as a `tt`, since the derive of the schema does not see into a `literal`.)
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
