//! `fmt`, `new` and `completions`.

use super::command::Sandbox;

const PLAIN: &str = "select a from  s; -- the first\n\n\ninsert into t select b from s\n";
const FORMATTED: &str = "SELECT a FROM s; -- the first\n\nINSERT INTO t SELECT b FROM s;\n";

#[test]
fn programs_are_put_in_form_and_checked_for_it() {
    let sandbox = Sandbox::new();
    sandbox.write("p.flow", PLAIN);
    sandbox.write("q.flow", FORMATTED);
    let check = sandbox.flow(&["fmt", "--check", "p.flow", "q.flow"]);
    check.expect(1, &[]);
    assert_eq!((check.stdout.as_str(), sandbox.read("p.flow").as_str()), ("p.flow\n", PLAIN));
    sandbox.must(&["fmt", "p.flow", "q.flow"]);
    assert_eq!(sandbox.read("p.flow"), FORMATTED);
    sandbox.must(&["fmt", "--check", "p.flow", "q.flow"]);
    let piped = sandbox.flow_with_input(&["fmt", "-"], PLAIN);
    piped.expect(0, &[]);
    assert_eq!(piped.stdout, FORMATTED);
    sandbox.flow(&["fmt", "missing.flow"]).expect(4, &["missing.flow cannot be read"]);
}

#[test]
fn a_statement_that_does_not_parse_stays_and_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("p.flow", "select  a from ;\nselect b from s;\n");
    sandbox.flow(&["fmt", "p.flow"]).expect(1, &["p.flow:1:"]);
    assert_eq!(sandbox.read("p.flow"), "select  a from ;\nSELECT b FROM s;\n");
}

#[test]
fn a_new_folder_runs_as_its_readme_says() {
    let sandbox = Sandbox::new();
    sandbox.must(&["new", "shop"]);
    let readme = sandbox.read("shop/README.md");
    let mut shown = Vec::new();
    for line in readme.lines() {
        let Some(command) = line.strip_prefix("    flow ") else { continue };
        let arguments: Vec<&str> = command.split_whitespace().collect();
        let ended = sandbox.flow_inside("shop", &arguments);
        ended.expect(0, &[]);
        shown.push(ended.stdout);
    }
    assert_eq!(shown.len(), 6, "{readme}");
    assert!(shown[4].contains("\"orders\":2,\"cents\":1650"), "{}", shown[4]);
    let mut totals: Vec<&str> = shown[5].lines().collect();
    totals.sort_unstable();
    let wanted = [
        "{\"customer\":\"ada\",\"orders\":3,\"cents\":2149}",
        "{\"customer\":\"bo\",\"orders\":2,\"cents\":2450}",
        "{\"customer\":\"cy\",\"orders\":1,\"cents\":15000}",
    ];
    assert_eq!(totals, wanted);
    sandbox.must(&["fmt", "--check", "shop/shop.flow"]);
}

#[test]
fn a_folder_that_is_there_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("shop", "a file of the user's");
    sandbox.flow(&["new", "shop"]).expect(4, &["shop cannot be made"]);
    assert_eq!(sandbox.read("shop"), "a file of the user's");
    for name in ["../shop", "a/b", "", "-x", "."] {
        sandbox.flow(&["new", "--", name]).expect(2, &["letters, digits"]);
    }
}

#[test]
fn shells_get_a_script_that_knows_the_commands() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.must(&["completions", shell]);
        assert!(script.contains("flow") && script.contains("parallelism"), "{shell}: {script}");
    }
    sandbox.flow(&["completions", "basic"]).expect(2, &["bash", "zsh", "fish"]);
}
