//! What the repository says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use local::template::Template;

use crate::problem_kinds::problem_kinds;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn template() -> Template {
    let parameters = ["JwtIssuer", "JwtAudience", "DbHost"].map(|name| (name.to_owned(), "http://127.0.0.1".to_owned()));
    Template::read(&root().join("template.yaml"), &BTreeMap::from(parameters)).unwrap()
}

#[test]
fn every_function_of_the_template_has_its_folder_and_the_other_way_round() {
    let folders: BTreeSet<String> =
        std::fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(template().functions.into_iter().map(|function| function.name).collect::<BTreeSet<_>>(), folders);
}

#[test]
fn every_main_is_short() {
    for function in template().functions {
        let main = std::fs::read_to_string(root().join("functions").join(&function.name).join("src/main.rs")).unwrap();
        assert!(main.lines().count() <= 40, "{}", function.name);
    }
}

#[test]
fn the_readme_lists_every_route_and_every_problem_type() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for route in template().routes {
        assert!(readme.contains(&format!("| {} | `{}` | `{}` |", route.method, route.path, route.function)), "{} {}", route.method, route.path);
    }
    let listed: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `/problems/")).collect();
    let kinds = problem_kinds();
    for (kind, status) in &kinds {
        let row = format!("| `/problems/{kind}` | {status} | ");
        assert!(listed.iter().any(|line| line.starts_with(&row)), "{row}");
    }
    assert_eq!(listed.len(), kinds.len(), "{listed:?}");
}

#[test]
fn the_template_declares_every_variable_of_the_configuration() {
    let table = std::fs::read_to_string(root().join("shared/src/config/mod.rs")).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let names: BTreeSet<String> = rows
        .flat_map(|row| {
            row.split_once(" | ").map_or(row, |(names, _)| names).replace(['`', ','], " ").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && (!name.starts_with("AWS_") || name.starts_with("AWS_ENDPOINT_")))
        .collect();
    assert!(names.len() > 18, "{names:?}");
    // Where the template sets a figure, it is the default of the code: one who reads either is not misled.
    for row in table.lines().filter(|line| line.starts_with("//! | `") && line.contains(" | ms | ")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let names = cells[0].split('`').skip(1).step_by(2);
        for (name, default) in names.zip(cells[2].split(", ")) {
            assert_eq!(template().functions[0].environment[name], default, "{name}");
        }
    }
    for function in template().functions {
        let declared: BTreeSet<String> = function.environment.into_keys().collect();
        assert_eq!(declared, names, "{}", function.name);
    }
}

#[test]
fn every_row_of_the_failure_table_has_its_test() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let table = readme.split_once("| failure | outcome | test |").unwrap().1.split_once("\n## ").unwrap().0;
    let files = std::fs::read_dir(root().join("tests/it")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let tests: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let name = row.trim_end_matches(" |").rsplit(" | ").next().unwrap().trim_matches('`');
        let forms = [format!("#[tokio::test]\nasync fn {name}("), format!("\nmod {name} {{")];
        assert!(forms.iter().any(|form| tests.contains(form)), "{row}");
    }
}
