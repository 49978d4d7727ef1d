//! `check`, `explain`, `build`, `--help`, and compiled jobs that are not what they should be.

use super::command::Sandbox;
use super::{counted, counting, counts};

#[test]
fn every_command_has_help_with_examples() {
    let sandbox = Sandbox::new();
    let commands: [&[&str]; 17] = [
        &[],
        &["check"],
        &["fmt"],
        &["new"],
        &["completions"],
        &["explain"],
        &["build"],
        &["run"],
        &["test"],
        &["topic"],
        &["topic", "list"],
        &["topic", "create"],
        &["topic", "produce"],
        &["topic", "consume"],
        &["schema", "list"],
        &["schema", "get"],
        &["schema", "register"],
    ];
    for command in commands {
        let help = sandbox.must(&[command, &["--help"]].concat());
        assert!(help.contains("Usage:") && help.contains("Example"), "{command:?}: {help}");
        let example = format!("flow {}", command.join(" "));
        assert!(help.contains(example.trim_end()), "{command:?}: {help}");
    }
    let help = sandbox.must(&["--help"]);
    assert!(help.contains("Exit codes: 0 done, 1 mistakes"), "{help}");
}

#[test]
fn what_is_no_command_is_wrong_usage() {
    let sandbox = counting();
    sandbox.flow(&["chek"]).expect(2, &["chek", "Usage"]);
    sandbox.flow(&["run"]).expect(2, &["FILE"]);
    sandbox.flow(&["explain", "counts.flow", "--stage", "none"]).expect(2, &["logical"]);
    sandbox.flow(&["run", "counts.flow", "--memory", "much"]).expect(2, &["512MB"]);
    sandbox.flow(&["run", "counts.flow", "-D", "nothing"]).expect(2, &["NAME=VALUE"]);
    sandbox.flow(&["check", "--explain", "E9999"]).expect(2, &["there is no code E9999"]);
    sandbox.flow(&["schema", "list"]).expect(2, &["--registry", "--local"]);
}

#[test]
fn all_mistakes_of_a_program_are_told_at_once_with_their_places() {
    let sandbox = counting();
    let program = sandbox.read("counts.flow").replace("SUM(n)", "SUM(m)").replace("page,", "pag,");
    sandbox.write("wrong.flow", program);
    for command in ["check", "run", "explain"] {
        let ended = sandbox.flow(&[command, "wrong.flow", "--local", "data"]);
        ended.expect(1, &["wrong.flow:5:", "pag", "SUM(m)", "E02"]);
    }
    let build = sandbox.flow(&["build", "wrong.flow", "-o", "wrong.flowjob", "--local", "data"]);
    build.expect(1, &["wrong.flow:5:"]);
    assert!(!sandbox.path("wrong.flowjob").exists());
    sandbox.flow(&["check", "missing.flow"]).expect(4, &["missing.flow cannot be read"]);
    let several = sandbox.flow(&["check", "counts.flow", "wrong.flow"]);
    several.expect(1, &["wrong.flow:5:"]);
    assert!(several.stdout.contains("counts.flow: no mistakes"), "{several:?}");
}

#[test]
fn state_that_nothing_bounds_is_warned_of_or_denied() {
    let sandbox = Sandbox::new();
    let program = "CREATE STREAM clicks (page STRING, n BIGINT)
        WITH (connector = 'kafka', format = 'json');
        SELECT page, SUM(n) AS n FROM clicks GROUP BY page;";
    sandbox.write("sums.flow", program);
    let warning = ["W0815", "a row per [page], for ever", "sums.flow:3:"];
    let checked = sandbox.flow(&["check", "sums.flow"]);
    checked.expect(0, &warning);
    assert!(checked.stdout.contains("sums.flow: no mistakes"), "{checked:?}");
    for lint in ["unbounded-state", "w0815"] {
        let denied = sandbox.flow(&["check", "sums.flow", "--deny", lint]);
        denied.expect(1, &warning);
        assert!(denied.stdout.is_empty(), "{denied:?}");
    }
    sandbox.flow(&["check", "sums.flow", "--deny", "differs-from-flink"]).expect(0, &warning);
    let unknown = sandbox.flow(&["check", "sums.flow", "--deny", "warnings"]);
    unknown.expect(2, &["unbounded-state, differs-from-flink, or a code"]);
}

#[test]
fn what_is_compiled_can_be_shown() {
    let sandbox = Sandbox::new();
    let program = "CREATE STREAM clicks (page STRING, n BIGINT)
        WITH (connector = 'kafka', format = 'json');
        CREATE STREAM many WITH (connector = 'kafka', format = 'json');
        INSERT INTO many SELECT page, n + 1 AS next FROM clicks WHERE n > 10;";
    sandbox.write("many.flow", program);
    for (stage, shown) in [("scalar", "filter r"), ("clif", "function u0:0"), ("asm", "ret")] {
        let text = sandbox.must(&["explain", "many.flow", "--stage", stage]);
        assert!(text.contains(shown), "{stage}: {text}");
    }
    let program = "CREATE STREAM clicks (page STRING, n BIGINT)
        WITH (connector = 'kafka', format = 'json');
        CREATE TABLE sums (page STRING, total BIGINT) WITH ('connector' = 'blackhole');
        INSERT INTO sums SELECT page, sum(n) FROM clicks GROUP BY page;";
    sandbox.write("sums.flow", program);
    for shown in ["+= c1 * weight if c1 is not null", "+= wide c1 if c1 is not null"] {
        let text = sandbox.must(&["explain", "sums.flow", "--stage", "scalar"]);
        assert!(text.contains(shown), "{text}");
    }
    for (stage, shown) in [("clif", "smulhi"), ("asm", "ret")] {
        let text = sandbox.must(&["explain", "sums.flow", "--stage", stage]);
        assert!(text.contains(shown), "{stage}: {text}");
    }
}

#[test]
fn every_stage_can_be_explained() {
    let sandbox = counting();
    for stage in ["typed", "logical", "optimized", "physical"] {
        let text = sandbox.must(&["explain", "counts.flow", "--stage", stage]);
        assert!(text.contains("clicks"), "{stage}: {text}");
    }
    let page = sandbox.must(&["check", "--explain", "E0203"]);
    assert!(page.contains("E0203"), "{page}");
}

#[test]
fn a_compiled_job_runs_as_its_program_does() {
    let sandbox = counting();
    sandbox.must(&["build", "bounded.flow", "-o", "job.flowjob", "--name", "built"]);
    sandbox.flow(&["run", "job.flowjob", "--local", "data"]).expect(0, &["built finished"]);
    assert_eq!(counts(&sandbox), counted(0..50));
}

#[test]
fn a_compiled_job_that_is_not_as_it_was_built_is_refused() {
    let sandbox = counting();
    sandbox.must(&["build", "bounded.flow", "-o", "job.flowjob"]);
    let bytes = std::fs::read(sandbox.path("job.flowjob")).expect("it was built");
    let run = |bytes: &[u8], told: &str| {
        sandbox.write("bad.flowjob", bytes);
        let ended = sandbox.flow(&["run", "bad.flowjob", "--local", "data"]);
        ended.expect(4, &["bad.flowjob", told]);
    };
    let mut altered = bytes.clone();
    *altered.last_mut().expect("it is not empty") ^= 1;
    run(&altered, "altered or cut short");
    run(&bytes[..bytes.len() / 2], "altered or cut short");
    run(&bytes[..10], "not a compiled job");
    run(b"", "not a compiled job");
    let line = String::from_utf8_lossy(&bytes).replacen("FLOWJOB 1", "FLOWJOB 7", 1);
    run(line.as_bytes(), "compiled for artifact format 7, this program reads 1; build it again");
    assert!(!sandbox.path("data/jobs/bounded").exists(), "nothing was started");
}

#[test]
fn faults_that_cases_inject_themselves_are_no_warnings() {
    let sandbox = Sandbox::new();
    let case = "=== flow\n\
                CREATE STREAM s (n INT) WITH (connector = 'case');\n\
                CREATE STREAM o WITH (connector = 'case');\n\
                INSERT INTO o SELECT n FROM s;\n\
                === feed s\n\
                {\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n{\"n\":6}\n{\"n\":7}\n\
                === expect o\n\
                {\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n{\"n\":6}\n{\"n\":7}\n";
    sandbox.write("seven.test", case);
    let ended = sandbox.flow(&["test", "seven.test"]);
    ended.expect(0, &[]);
    assert!(ended.stdout.contains("8 runs, 0 failed"), "{ended:?}");
    assert_eq!(ended.stderr, "");
}

#[test]
fn topics_end_in_a_case_where_the_records_do() {
    let sandbox = Sandbox::new();
    let case = "=== flow\n\
                CREATE STREAM s (n INT) WITH (connector = 'kafka', format = 'json');\n\
                CREATE STREAM o WITH (connector = 'kafka', format = 'json');\n\
                INSERT INTO o SELECT n + 1 AS n FROM s;\n\
                === feed s\n{\"n\":1}\n=== expect o\n{\"n\":2}\n";
    sandbox.write("topic.test", case);
    sandbox.flow(&["test", "topic.test"]).expect(0, &[]);
}
