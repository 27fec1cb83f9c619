//! The stacks beside one another: what one looks up another writes, what is watched is there, and each alarm has its section in the runbook.
//! Templates are read as text, since only names are compared; cfn-lint reads them as templates.

use std::collections::BTreeSet;
use std::path::Path;

use local::stack;

use crate::request_metrics::NAMES;

const STACKS: [&str; 4] = ["infra/network.yaml", "infra/database.yaml", "template.yaml", "infra/observability.yaml"];
const LOOKED_UP: &str = "    Type: AWS::SSM::Parameter::Value<";
/// What has to be watched.
const ALARMS: [&str; 9] =
    ["borrow-latency", "capacity", "connections", "health-failing", "health-not-run", "latency", "server-errors", "sessions-pinned", "throttles"];
/// What health's schedule writes beside.
const HEALTH: [&str; 4] = ["HealthFailing", "HealthWarning", "DatabaseConnectTime", "DatabaseRoundTripTime"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What follows `start` in the lines that begin so.
fn after<'t>(text: &'t str, start: &str) -> Vec<&'t str> {
    text.lines().filter_map(|line| line.strip_prefix(start)).collect()
}

/// The parameters that are looked up in Systems Manager, and the names under which they are.
fn lookups(template: &str) -> Vec<(&str, &str)> {
    let lines: Vec<&str> = template.lines().collect();
    let of = |at: usize| {
        let default = lines[at..].iter().find_map(|line| line.strip_prefix("    Default: ")).expect("it has a default");
        (lines[at - 1].trim().trim_end_matches(':'), default)
    };
    lines.iter().enumerate().filter(|(_, line)| line.starts_with(LOOKED_UP)).map(|(at, _)| of(at)).collect()
}

fn alarms() -> BTreeSet<String> {
    let names = STACKS.map(read).map(|template| -> Vec<String> {
        let names = after(&template, "      AlarmName: !Sub ${AWS::StackName}-").into_iter();
        names.chain(after(&template, "      AlarmName: !Sub ${StackName}-")).map(str::to_owned).collect()
    });
    names.concat().into_iter().collect()
}

#[test]
fn what_a_stack_looks_up_another_writes_before_it() {
    let mut written = BTreeSet::new();
    for stack in STACKS {
        let template = read(stack);
        for (parameter, name) in lookups(&template) {
            assert!(written.contains(name), "{stack}: {parameter} looks up {name}, which no stack before it writes: {written:?}");
        }
        written.extend(after(&template, "      Name: !Sub ${Prefix}/").into_iter().map(|name| format!("/thaw/dev/{name}")));
    }
}

#[test]
fn production_looks_up_nothing_of_development() {
    let settings = read("infra/samconfig.toml");
    for (stack, environment) in STACKS.into_iter().zip(["prod-network", "prod-database", "prod", "prod-observability"]) {
        let section = settings.split_once(&format!("\n[{environment}.deploy.parameters]\n")).expect(environment).1;
        let section = section.split("\n[").next().unwrap();
        let template = read(stack);
        for (parameter, name) in lookups(&template) {
            let setting = format!("\"{parameter}={}\"", name.replace("/thaw/dev/", "/thaw/prod/"));
            assert!(section.contains(&setting), "{environment} needs {setting}");
        }
        assert!(!section.contains("/dev"), "{environment}: {section}");
        if template.contains("\n  Prefix:\n") {
            assert!(section.contains("\"Prefix=/thaw/prod\""), "{environment}: {section}");
        }
    }
}

#[test]
fn every_alarm_has_its_section_in_the_runbook_and_its_place_on_the_dashboard() {
    let (alarms, runbook) = (alarms(), read("infra/RUNBOOK.md"));
    assert_eq!(alarms.iter().collect::<Vec<_>>(), ALARMS);
    let sections: BTreeSet<String> = after(&runbook, "## ").into_iter().map(str::to_owned).collect();
    assert_eq!(alarms, sections, "alarms and sections of the runbook");
    for section in runbook.split("\n## ").skip(1) {
        for part in ["**Symptom.**", "**Likely cause.**", "**Command.**", "**Fix.**"] {
            assert_eq!(section.matches(part).count(), 1, "{part} in {section}");
        }
    }
    let templates = STACKS.map(read).concat();
    for alarm in &alarms {
        assert_eq!(templates.matches(&format!(" infra/RUNBOOK.md#{alarm}\n")).count(), 1, "the description of {alarm} leads to its section");
        assert!(templates.contains(&format!(":alarm:${{StackName}}-{alarm}\"")), "the dashboard shows {alarm}");
    }
    assert_eq!(templates.matches("Type: AWS::CloudWatch::Alarm\n").count(), alarms.len(), "an alarm without a name of that form");
}

#[test]
fn every_function_with_a_route_is_watched() {
    let template = read("template.yaml");
    let alarm = template.split_once("\n  ThrottlesAlarm:\n").unwrap().1.split("\n\n").next().unwrap();
    let routed: BTreeSet<String> = stack::template(Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml").as_path())
        .unwrap()
        .routes
        .into_iter()
        .map(|route| route.function)
        .collect();
    assert!(routed.len() >= 5, "{routed:?}");
    let dashboard = read("infra/observability.yaml");
    for function in routed {
        assert!(dashboard.contains(&format!("\"Throttles\", \"FunctionName\", \"${{StackName}}-{function}\"")), "{function} is not on the dashboard");
        assert!(dashboard.contains(&format!("SOURCE '/aws/lambda/${{StackName}}-{function}'")), "the errors of {function} are not on the dashboard");
        assert!(alarm.contains(&format!("Value: !Sub ${{AWS::StackName}}-{function}\n")), "{function} is not in ThrottlesAlarm");
    }
}

#[test]
fn what_the_dashboard_shows_of_the_functions_they_write() {
    let dashboard = read("infra/observability.yaml");
    let mut shown = BTreeSet::new();
    for metric in after(&dashboard, "                [\"thaw\", \"") {
        let name = metric.split('"').next().unwrap();
        assert!(NAMES.iter().any(|(known, _)| *known == name) || HEALTH.contains(&name), "{name} is written by nobody");
        let binary = metric.split("${StackName}-").nth(1).and_then(|rest| rest.split('"').next()).expect(metric);
        assert!(read("template.yaml").contains(&format!("FunctionName: !Sub ${{AWS::StackName}}-{binary}\n")), "{binary} is no function");
        shown.insert(name.to_owned());
    }
    let missing: Vec<_> = NAMES.iter().filter(|(name, _)| !shown.contains(*name)).collect();
    assert!(missing.is_empty(), "nobody looks at {missing:?}");
}
