//! Circles between files, and between folders of the application: each one of a circle uses every other one, directly
//! or through others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, paths};

/// Returns the circles between files of `src`, each as its sorted paths. A path through a re-export counts
/// for the file that declares the name. Uses between a module and its child modules do not count, nor those of tests
/// and in macros.
pub fn circles(sources: &[Source]) -> Vec<Vec<&str>> {
    circles_of(&Modules::of(sources).needs())
}

/// Returns the circles between folders of `src/application`, each as its sorted names.
pub fn folder_circles(sources: &[Source]) -> Vec<Vec<&str>> {
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, others) in Modules::of(sources).needs() {
        let Some(from) = folder(file) else { continue };
        let others = others.into_iter().filter_map(folder).filter(|other| *other != from);
        needs.entry(from).or_default().extend(others);
    }
    circles_of(&needs)
}

/// The folder of the application that a file is in.
fn folder(file: &str) -> Option<&str> {
    let (folder, _) = file.strip_prefix("src/application/")?.split_once('/')?;
    Some(folder)
}

/// The circles among what needs each other.
fn circles_of<'a>(needs: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let reached: BTreeMap<_, _> = needs.keys().map(|&one| (one, reachable(needs, one))).collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (&one, others) in &reached {
        if others.contains(one) && !seen.contains(one) {
            let circle: Vec<_> =
                others.iter().copied().filter(|other| reached[other].contains(one)).collect();
            seen.extend(circle.iter().copied());
            circles.push(circle);
        }
    }
    circles
}

/// What one needs, directly or through others.
fn reachable<'a>(needs: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<_> = needs[from].iter().copied().collect();
    while let Some(file) = open.pop() {
        if found.insert(file) {
            open.extend(&needs[file]);
        }
    }
    found
}

type Module = Vec<String>;

/// The modules of `src` that are files.
struct Modules<'a> {
    files: BTreeMap<Module, File<'a>>,
}

struct File<'a> {
    path: &'a str,
    /// The paths that it names, from the root.
    names: Vec<Vec<String>>,
}

impl<'a> Modules<'a> {
    fn of(sources: &'a [Source]) -> Self {
        let of_src = sources.iter().filter(|source| source.path.starts_with("src/"));
        let mut modules =
            Self { files: of_src.clone().map(|source| (source.module(), File::new(&source.path))).collect() };
        for source in of_src {
            let names = modules.names(source);
            modules.files.get_mut(&source.module()).unwrap().names = names;
        }
        modules
    }

    fn names(&self, source: &Source) -> Vec<Vec<String>> {
        let module = source.module();
        let named =
            paths::named(&source.text).into_iter().filter(|named| !named.in_macro && !is_test(&named.inside));
        named
            .filter_map(|named| named.absolute(&module).or_else(|| self.below(&module, &named.segments)))
            .collect()
    }

    /// A path that begins with a module below `module`.
    fn below(&self, module: &Module, segments: &[String]) -> Option<Vec<String>> {
        let child = [module.as_slice(), &segments[..1]].concat();
        self.files.contains_key(&child).then(|| [module.as_slice(), segments].concat())
    }

    /// The module that a path leads to, through re-exports.
    fn target(&self, path: &[String], depth: usize) -> Option<Module> {
        let length = (1..=path.len()).rev().find(|&length| self.files.contains_key(&path[..length]))?;
        let module = path[..length].to_vec();
        let name = path.get(length).filter(|_| depth < 8);
        let exported = name.and_then(|name| {
            let names = self.files[&module].names.iter();
            names.filter(|path| path.last() == Some(name)).find_map(|path| self.target(path, depth + 1))
        });
        exported.or(Some(module))
    }

    /// The other files that each file uses.
    fn needs(&self) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
        let related = |one: &Module, other: &Module| one.starts_with(other) || other.starts_with(one);
        let of = |module: &Module, file: &File<'a>| {
            let targets = file.names.iter().filter_map(|path| self.target(path, 0));
            targets.filter(|target| !related(module, target)).map(|target| self.files[&target].path).collect()
        };
        self.files.iter().map(|(module, file)| (file.path, of(module, file))).collect()
    }
}

impl<'a> File<'a> {
    fn new(path: &'a str) -> Self {
        Self { path, names: Vec::new() }
    }
}

/// Modules of tests, which are compiled for tests only.
fn is_test(inside: &[String]) -> bool {
    inside.iter().any(|module| module == "tests" || module == "adding_one")
}
