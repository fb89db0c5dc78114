# Calls the commands of `.cargo/config.toml`, for users of just.

# lists the recipes
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

# the unit tests
unit *filter:
    cargo unit {{filter}}

# the integration tests
it *filter:
    cargo it {{filter}}

# all tests
test:
    cargo test

# all checks of the build server
ci:
    .ci/run
