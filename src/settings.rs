//! The settings of a store: defaults, then the file, then the environment, then flags.
