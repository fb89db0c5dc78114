//! What the hash of a password costs.

use std::num::NonZeroU32;

use argon2::Params;
use serde::Deserialize;

use super::non_zero;

/// The costs below which none may be, in MiB and iterations: those that OWASP recommends, which are as strong as each
/// other.
const LEAST: [(u32, u32); 5] = [(46, 1), (19, 2), (12, 3), (9, 4), (7, 5)];
/// The most MiB of a hash. A larger number is a mistake, such as one of KiB.
const MOST_MIB: u32 = 1_024;
/// The most iterations of a hash.
const MOST_ITERATIONS: u32 = 100;

/// `[passwords]`: what the hash of a password costs.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordSettings {
    /// The memory that a hash is computed in, in MiB.
    pub hash_memory_mib: NonZeroU32,
    /// How often the computation passes over its memory.
    pub hash_iterations: NonZeroU32,
}

impl PasswordSettings {
    /// Returns the cost of a hash. A cost that is less than OWASP recommends, or far too high, is an error, which
    /// begins with the key that has to be changed.
    pub fn cost(&self) -> Result<Params, String> {
        let (memory, iterations) = (self.hash_memory_mib.get(), self.hash_iterations.get());
        if memory > MOST_MIB {
            return Err(format!("passwords.hash_memory_mib: {memory} is more than {MOST_MIB}"));
        }
        if iterations > MOST_ITERATIONS {
            return Err(format!("passwords.hash_iterations: {iterations} is more than {MOST_ITERATIONS}"));
        }
        if !LEAST.iter().any(|&(least, passes)| memory >= least && iterations >= passes) {
            let rule = "OWASP recommends at least 46 MiB with 1 iteration, 19 with 2, 12 with 3, 9 with 4, or 7 with 5";
            return Err(format!(
                "passwords.hash_memory_mib: {memory} MiB with `hash_iterations` = {iterations} is too weak: {rule}"
            ));
        }
        Params::new(memory * 1_024, iterations, 1, None)
            .map_err(|error| format!("passwords.hash_memory_mib: {error}"))
    }
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self { hash_memory_mib: non_zero(19), hash_iterations: non_zero(2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::of_flags;

    fn read(memory: &str, iterations: &str) -> Result<Params, String> {
        let flags = [("passwords.hash_memory_mib", memory), ("passwords.hash_iterations", iterations)];
        let settings = of_flags(&flags.map(|(key, value)| (key, value.to_owned())));
        settings.map_err(|error| error.to_string())?.passwords.cost()
    }

    #[test]
    fn a_hash_costs_at_least_what_owasp_recommends() {
        assert_eq!(PasswordSettings::default().cost(), Ok(Params::default()));
        for (memory, iterations) in
            [("46", "1"), ("19", "2"), ("12", "3"), ("9", "4"), ("7", "5"), ("1024", "100")]
        {
            let cost = read(memory, iterations).unwrap();
            let expected = (memory.parse::<u32>().unwrap() * 1_024, iterations.parse().unwrap(), 1);
            assert_eq!((cost.m_cost(), cost.t_cost(), cost.p_cost()), expected);
        }
        for (memory, iterations) in [("45", "1"), ("18", "2"), ("11", "3"), ("8", "4"), ("6", "100")] {
            let error = read(memory, iterations).unwrap_err();
            assert!(error.starts_with("settings: passwords.hash_memory_mib: "), "{error}");
            assert!(error.contains("is too weak: OWASP recommends"), "{error}");
        }
        for (memory, iterations, key) in [("19456", "2", "hash_memory_mib"), ("19", "101", "hash_iterations")]
        {
            let error = read(memory, iterations).unwrap_err();
            assert!(error.starts_with(&format!("settings: passwords.{key}: ")), "{error}");
            assert!(error.contains(" is more than "), "{error}");
        }
        let error = read("0", "2").unwrap_err();
        assert!(error.contains("passwords.hash_memory_mib"), "{error}");
    }
}
