//! Feature flags: features that administrators switch on and off, for all users or for some of them.
//!
//! The results of evaluations have the names of OpenFeature
//! (<https://openfeature.dev/specification/types#evaluation-details>).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::country::Country;
use super::digest::first_u64;
use super::ids::UserId;
use super::user::Role;

/// The share of all users, in basis points.
pub const EVERYONE: i64 = 10_000;

/// A feature flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureFlag {
    /// The key, by which the flag is evaluated.
    pub key: String,
    /// The description, for administrators.
    pub description: String,
    /// Whether rules and roll-out apply. If not, the feature is off for everyone.
    pub enabled: bool,
    /// Whether pages of the shop may evaluate the flag.
    pub public: bool,
    /// The rules, of which the first that matches decides.
    pub rules: Vec<TargetingRule>,
    /// The share of the users for whom no rule matches that have the feature, in basis points: 10000 is everyone.
    pub rollout: i64,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time of the creation, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
}

/// A rule of a flag. It matches if each list that is not empty has the value of the user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetingRule {
    /// The users. If omitted, all.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub user_ids: Vec<UserId>,
    /// The roles. If omitted, all, and guests.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub roles: Vec<Role>,
    /// The countries. If omitted, all.
    #[serde(default)]
    #[schema(max_items = 249)]
    pub countries: Vec<Country>,
    /// Whether the feature is on for those whom the rule matches.
    pub value: bool,
}

/// For whom a flag is evaluated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EvaluationContext {
    /// What the roll-out depends on: the same key has the same result. That of a user is the id.
    pub targeting_key: Option<String>,
    /// The user, if one is logged in.
    pub user_id: Option<UserId>,
    /// The role of the user.
    pub role: Option<Role>,
    /// The country of the user, if it is known.
    pub country: Option<Country>,
}

impl EvaluationContext {
    /// Returns the context of a user.
    pub fn of_user(id: UserId, role: Role) -> Self {
        Self { targeting_key: Some(id.to_string()), user_id: Some(id), role: Some(role), country: None }
    }
}

/// Why a flag has its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EvaluationReason {
    /// It is the same for everyone.
    Static,
    /// A rule matches.
    TargetingMatch,
    /// The share of users who have the feature includes the user, or does not.
    Split,
    /// The flag is not enabled.
    Disabled,
    /// The store has no such flag: the value is that which the program has built in.
    Default,
    /// The flag could not be evaluated; `errorCode` says why.
    Error,
}

/// Why a flag could not be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EvaluationError {
    /// There is no such flag.
    FlagNotFound,
    /// The flag is on for a share of the users, and there is no targeting key.
    TargetingKeyMissing,
}

/// The result of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether the feature is on.
    pub value: bool,
    /// Why the flag has this value.
    pub reason: EvaluationReason,
    /// Why the flag could not be evaluated.
    pub error: Option<EvaluationError>,
}

impl Evaluation {
    fn new(value: bool, reason: EvaluationReason) -> Self {
        Self { value, reason, error: None }
    }

    /// Returns the result of a flag that the store does not have, with the value that is built in.
    pub fn built_in(value: bool) -> Self {
        Self::new(value, EvaluationReason::Default)
    }

    /// Returns the result of a flag that could not be evaluated: the feature is off.
    pub fn failed(error: EvaluationError) -> Self {
        Self { value: false, reason: EvaluationReason::Error, error: Some(error) }
    }

    /// Returns the name of the value.
    pub fn variant(self) -> &'static str {
        if self.value { "on" } else { "off" }
    }
}

impl FeatureFlag {
    /// Evaluates the flag.
    pub fn evaluate(&self, context: &EvaluationContext) -> Evaluation {
        if !self.enabled {
            return Evaluation::new(false, EvaluationReason::Disabled);
        }
        if let Some(rule) = self.rules.iter().find(|rule| rule.matches(context)) {
            return Evaluation::new(rule.value, EvaluationReason::TargetingMatch);
        }
        match (self.rollout, &context.targeting_key) {
            (..=0, _) => Evaluation::new(false, EvaluationReason::Static),
            (EVERYONE.., _) => Evaluation::new(true, EvaluationReason::Static),
            (share, Some(key)) => Evaluation::new(bucket(&self.key, key) < share, EvaluationReason::Split),
            (_, None) => Evaluation::failed(EvaluationError::TargetingKeyMissing),
        }
    }
}

impl TargetingRule {
    fn matches(&self, context: &EvaluationContext) -> bool {
        includes(&self.user_ids, context.user_id)
            && includes(&self.roles, context.role)
            && includes(&self.countries, context.country)
    }
}

/// Returns whether a list has a value, or has none at all.
fn includes<T: PartialEq>(list: &[T], value: Option<T>) -> bool {
    list.is_empty() || value.is_some_and(|value| list.contains(&value))
}

/// Returns a number from 0 to 9999 that is always the same for a flag and a targeting key, and for which the keys of
/// one flag are spread evenly and independently of other flags. A larger share keeps the users of a smaller one.
fn bucket(flag: &str, targeting_key: &str) -> i64 {
    let hash = Sha256::new().chain_update(flag).chain_update([0]).chain_update(targeting_key).finalize();
    i64::try_from(first_u64(&hash.into()) % EVERYONE.unsigned_abs()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn flag(rollout: i64, rules: Vec<TargetingRule>) -> FeatureFlag {
        let now = Timestamp::UNIX_EPOCH;
        FeatureFlag {
            key: "gift_wrap".into(),
            description: String::new(),
            enabled: true,
            public: true,
            rules,
            rollout,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    fn user(number: u128) -> EvaluationContext {
        EvaluationContext::of_user(UserId(Uuid::from_u128(number)), Role::Customer)
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_then_the_share() {
        let chosen =
            TargetingRule { user_ids: vec![UserId(Uuid::from_u128(1))], value: true, ..Default::default() };
        let german = TargetingRule { countries: vec![Country::DE], ..Default::default() };
        let admins = TargetingRule { roles: vec![Role::Admin], value: true, ..Default::default() };
        let flag = flag(0, vec![chosen, german, admins]);
        let germans =
            |context: EvaluationContext| EvaluationContext { country: Some(Country::DE), ..context };
        let evaluated = |context| {
            let Evaluation { value, reason, error } = flag.evaluate(&context);
            assert_eq!(error, None);
            (value, reason)
        };
        assert_eq!(evaluated(germans(user(1))), (true, EvaluationReason::TargetingMatch));
        assert_eq!(evaluated(germans(user(2))), (false, EvaluationReason::TargetingMatch));
        let admin = EvaluationContext::of_user(UserId(Uuid::from_u128(3)), Role::Admin);
        assert_eq!(evaluated(admin), (true, EvaluationReason::TargetingMatch));
        assert_eq!(evaluated(user(2)), (false, EvaluationReason::Static));
        assert_eq!(evaluated(EvaluationContext::default()), (false, EvaluationReason::Static));
    }

    #[test]
    fn a_flag_that_is_not_enabled_is_off_whatever_its_rules_say() {
        let everyone = TargetingRule { value: true, ..Default::default() };
        let flag = FeatureFlag { enabled: false, ..flag(EVERYONE, vec![everyone]) };
        assert_eq!(flag.evaluate(&user(1)), Evaluation::new(false, EvaluationReason::Disabled));
    }

    #[test]
    fn a_share_is_stable_by_user_grows_and_is_as_large_as_it_says() {
        let (tenth, third) = (flag(1_000, vec![]), flag(3_333, vec![]));
        let other = FeatureFlag { key: "other".into(), ..tenth.clone() };
        let has = |flag: &FeatureFlag, number| flag.evaluate(&user(number)).value;
        let users = 0..10_000;
        let count = |flag: &FeatureFlag| users.clone().filter(|&number| has(flag, number)).count();
        assert!((900..1_100).contains(&count(&tenth)), "{}", count(&tenth));
        assert!((3_200..3_470).contains(&count(&third)), "{}", count(&third));
        assert!(users.clone().filter(|&number| has(&tenth, number)).all(|number| has(&third, number)));
        let both = users.filter(|&number| has(&tenth, number) && has(&other, number)).count();
        assert!((50..150).contains(&both), "the users of two flags are not independent: {both}");
        assert_eq!(tenth.evaluate(&user(7)), tenth.evaluate(&user(7)));
        let guest = tenth.evaluate(&EvaluationContext::default());
        assert_eq!(guest.error, Some(EvaluationError::TargetingKeyMissing));
        assert!(!guest.value);
    }
}
