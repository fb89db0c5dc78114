# Calls the commands of `.cargo/config.toml`, for those who are used to just. Nothing is defined here alone.

# lists what there is
default:
    @just --list

# the store, in this folder
run *arguments:
    cargo run -- {{arguments}}

# formats all sources
fmt:
    cargo fmt

# clippy, warnings are errors
lint:
    cargo lint

# the tests inside the library
unit *filter:
    cargo unit {{filter}}

# the tests of the whole
it *filter:
    cargo it {{filter}}

# all tests
test:
    cargo test

# what the build server runs
ci:
    .ci/run
