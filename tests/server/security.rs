//! Who may do what, and what nobody may.

use serde_json::{Value, json};

use super::{COPY, COUNTS, Sandbox, Server};

/// A new token of this scope.
fn token(sandbox: &Sandbox, scope: &str) -> String {
    let made = sandbox.must(&["server", "token", "new", "--scope", scope, "--data", "data"]);
    made.trim().to_string()
}

/// A server with a token of each scope.
fn guarded() -> (Server, [String; 3]) {
    let sandbox = Sandbox::new();
    sandbox.fill("clicks", 1, "page", "");
    let tokens = ["read", "write", "admin"].map(|scope| token(&sandbox, scope));
    (Server::start_in(sandbox, &[]), tokens)
}

#[test]
fn scopes_are_held_and_noted() {
    let (mut server, [read, write, admin]) = guarded();
    server.get("/health").expect(200);
    server.get("/v1/openapi.json").expect(200);
    for path in ["/v1/jobs", "/metrics", "/v1/topics", "/v1/nothing"] {
        server.get(path).tells(401, "token");
    }
    server = server.with_token("flow_wrong");
    server.get("/v1/jobs").tells(401, "not known");
    server = server.with_token(&read);
    server.get("/v1/jobs").expect(200);
    server.submit("", COPY).tells(403, "scope write");
    server = server.with_token(&write);
    server.submit("", COPY).expect(201);
    server.wait_for_state("copy", "running");
    server.post("/v1/streams/clicks", &json!({"page": "p"})).expect(200);
    server.submit("?fresh=true", COPY).tells(403, "scope admin");
    server.ask("DELETE", "/v1/jobs/copy", None).tells(403, "scope admin");
    server = server.with_token(&admin);
    server.ask("DELETE", "/v1/jobs/copy", None).expect(204);

    let audit = server.sandbox.read("data/server/audit.jsonl");
    let noted: Vec<(String, u64)> = audit
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a JSON object a line"))
        .map(|entry| {
            let what = format!("{} {}", entry["method"], entry["path"]).replace('"', "");
            (what, entry["status"].as_u64().expect("a status"))
        })
        .collect();
    for (what, status) in [
        ("GET /v1/jobs", 401),
        ("POST /v1/jobs", 403),
        ("POST /v1/jobs", 201),
        ("DELETE /v1/jobs/copy", 403),
        ("DELETE /v1/jobs/copy", 204),
    ] {
        assert!(noted.contains(&(what.to_string(), status)), "{what} {status}: {audit}");
    }
    for token in [read, write, admin] {
        assert!(!audit.contains(&token));
        assert!(!server.sandbox.read("data/server/tokens.json").contains(&token));
    }
}

/// What each operation of the API takes, as the document lists them.
fn needed(method: &str, path: &str) -> &'static str {
    match (method, path) {
        (_, "/health" | "/ready" | "/v1/openapi.json") => "nothing",
        ("delete", "/v1/jobs/{name}") => "admin",
        // Questions are asked by POST, and change nothing.
        ("post", "/v1/query" | "/v1/query/stream") => "read",
        ("post", _) => "write",
        _ => "read",
    }
}

#[test]
fn no_operation_is_open_to_a_lesser_scope() {
    let (mut server, tokens) = guarded();
    let document = server.get("/v1/openapi.json").expect(200);
    let mut refused = 0;
    for (holds, token) in ["nothing", "read", "write", "admin"]
        .into_iter()
        .zip([None].into_iter().chain(tokens.iter().map(Some)))
    {
        server.token = token.cloned();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for method in operations.as_object().expect("operations").keys() {
                let order = ["nothing", "read", "write", "admin"];
                let place = |scope: &str| order.iter().position(|s| *s == scope);
                let needed = needed(method, path);
                let path = path.replace("{name}", "none").replace("{subject}", "none");
                // Nothing that is let through does anything: there is no such job, topic or body.
                let body = (method == "post").then_some(("application/json", &b"{"[..]));
                let status = server.ask(&method.to_uppercase(), &path, body).status;
                let may = place(holds) >= place(needed);
                let told = if holds == "nothing" { 401 } else { 403 };
                assert_eq!(status != told, may, "{method} {path} with {holds}: {status}");
                refused += usize::from(!may);
            }
        }
    }
    assert!(refused > 25, "{refused}");
}

#[test]
fn a_token_that_is_revoked_is_worth_nothing_at_once() {
    let (mut server, [read, ..]) = guarded();
    server = server.with_token(&read);
    server.get("/v1/jobs").expect(200);
    let listed = server.sandbox.must(&["server", "token", "list", "--data", "data"]);
    let id = listed.lines().find(|line| line.contains("  read ")).expect("it is listed");
    let id = id.split_whitespace().next().expect("an id");
    server.sandbox.must(&["server", "token", "revoke", id, "--data", "data"]);
    server.get("/v1/jobs").expect(401);
    let unknown = server.sandbox.flow(&["server", "token", "revoke", "none", "--data", "data"]);
    unknown.expect(4, &["there is no token none"]);
}

#[test]
fn without_tokens_it_listens_on_loopback_only_and_to_no_web_page() {
    let sandbox = Sandbox::new();
    let public = ["server", "--local", "data", "--listen", "0.0.0.0:0"];
    sandbox.flow(&public).expect(2, &["without tokens", "flow server token new"]);
    let server = Server::start_in(sandbox, &[]);
    let from = |headers: &[(&str, &str)]| server.ask_with("GET", "/v1/jobs", None, headers).status;
    assert_eq!(from(&[]), 200);
    assert_eq!(from(&[("Origin", "http://localhost:3000")]), 200);
    assert_eq!(from(&[("Origin", "https://example.org")]), 403);
    assert_eq!(from(&[("Origin", "null")]), 403);
    assert_eq!(from(&[("Host", "example.org")]), 403);
}

#[test]
fn names_stay_inside_their_folder() {
    let server = Server::start();
    for name in ["..%2F..%2Fetc", "..", ".hidden", "a%2Fb", "a%00", "%C3%A4", "a%5Cb", "a%0Ab"] {
        server.submit(&format!("?name={name}"), COPY).expect(400);
        for (method, path) in [
            ("GET", format!("/v1/jobs/{name}")),
            ("GET", format!("/v1/jobs/{name}/logs")),
            ("POST", format!("/v1/jobs/{name}/stop")),
            ("DELETE", format!("/v1/jobs/{name}")),
            ("GET", format!("/v1/topics/{name}")),
            ("GET", format!("/v1/topics/{name}/records")),
            ("GET", format!("/v1/schemas/{name}")),
            ("GET", format!("/v1/views/{name}/rows")),
            ("GET", format!("/v1/views/counts/rows?job={name}")),
        ] {
            let status = server.ask(method, &path, None).status;
            assert!([400, 404, 405].contains(&status), "{method} {path}: {status}");
        }
    }
    let within = COPY.replace("'copy'", "'../copy'");
    assert!([400, 422].contains(&server.submit("", &within).status));
    let jobs = std::fs::read_dir(server.sandbox.path("data/server/jobs")).expect("it is there");
    assert_eq!(jobs.count(), 0);
}

#[test]
fn artifacts_are_verified_whatever_byte_is_altered() {
    let server = Server::start();
    server.sandbox.write("copy.flow", COPY);
    server.sandbox.must(&["build", "copy.flow", "-o", "copy.flowjob"]);
    let artifact = std::fs::read(server.sandbox.path("copy.flowjob")).expect("it is built");
    let send = |bytes: &[u8]| {
        let body = Some(("application/vnd.flow.job", bytes));
        server.ask("POST", "/v1/jobs?dry_run=true", body)
    };
    send(&artifact).expect(200);
    let step = (artifact.len() / 200).max(1);
    for at in (0..artifact.len()).step_by(step) {
        let mut altered = artifact.clone();
        altered[at] ^= 1;
        let answer = send(&altered);
        assert_eq!(answer.status, 422, "byte {at}: {answer:?}");
    }
    send(&artifact[..artifact.len() - 1]).tells(422, "altered or cut short");
    assert_eq!(server.get("/v1/jobs").expect(200)["jobs"], json!([]));
}

#[test]
fn an_artifact_that_is_altered_on_disk_is_refused_by_name() {
    let server = Server::with_clicks(0..3);
    server.submit("", COPY).expect(201);
    server.wait_for_state("copy", "running");
    let sandbox = server.kill();
    let path = "data/server/jobs/copy/versions/1.flowjob";
    let altered = sandbox.read(path).replace("clicks", "klicks");
    sandbox.write(path, altered);
    let server = Server::start_in(sandbox, &[]);
    let job = server.wait_for_state("copy", "failed");
    let error = job["error"].as_str().expect("an error");
    assert!(error.contains("1.flowjob") && error.contains("altered"), "{error}");
    server.submit("", COPY).expect(200);
    server.wait_for_state("copy", "running");
}

#[test]
fn programs_do_not_reach_into_the_servers_machine() {
    let sandbox = Sandbox::new();
    sandbox.write("secret.jsonl", "{\"n\":1}\n");
    std::fs::create_dir(sandbox.path("files")).expect("a folder");
    sandbox.write("files/in.jsonl", "{\"n\":1}\n");
    let file = |path: &str| {
        format!(
            "SET 'job.name' = 'file';
             CREATE STREAM numbers (n BIGINT) WITH (connector = 'file', path = '{path}',
               format = 'json');
             CREATE STREAM shown WITH (connector = 'print');
             INSERT INTO shown SELECT n FROM numbers;"
        )
    };
    let server = Server::start_in(sandbox, &[]);
    server.submit("", &file("secret.jsonl")).tells(422, "[jobs]");
    let client = COPY.replace(
        "format = 'json');\nINSERT",
        "format = 'json', 'properties.ssl.ca.location' = '/etc/passwd');\nINSERT",
    );
    server.submit("", &client).tells(422, "ssl.ca.location");
    let environment = COPY.replace("'kafka', format = 'json')", "'kafka', format = '${HOME}')");
    server.submit("", &environment).expect(422);
    let folder = COPY.replace(
        "clicks (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json')",
        "clicks WITH (connector = 'kafka', format = 'avro', 'avro-confluent.url' = '/etc')",
    );
    server.submit("", &folder).tells(422, "may not name a folder");

    let sandbox = server.interrupt();
    sandbox.write("files.toml", "[jobs]\nfiles = 'files'\n");
    let server = Server::start_in(sandbox, &["--config", "files.toml"]);
    for path in ["../secret.jsonl", "/etc/passwd", "-"] {
        server.submit("", &file(path)).tells(422, "not in the folder");
    }
    server.submit("", &file("in.jsonl")).expect(201);
    server.wait_for_state("file", "finished");
}

#[test]
fn secrets_are_shown_nowhere() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("secrets")).expect("a folder");
    sandbox.write("secrets/broker", "hush-of-file\n");
    sandbox.write("flow.toml", "[secrets]\nfolder = 'secrets'\n");
    // No broker listens there: the job waits or fails, and says so.
    let program = COUNTS.replace(
        "format = 'json');",
        "format = 'json', 'properties.bootstrap.servers' = '127.0.0.1:1',
         'properties.security.protocol' = 'SASL_PLAINTEXT',
         'properties.sasl.mechanism' = 'PLAIN',
         'properties.sasl.username' = '${secret:FLOW_TEST_USER}',
         'properties.sasl.password' = '${secret:broker}');",
    );
    let arguments = ["server", "--data", "data", "--listen", "127.0.0.1:0"];
    let server = Server::of(sandbox, &arguments, &[("FLOW_TEST_USER", "hush-of-environment")]);
    let made = server.submit("", &program);
    assert_eq!(made.status, 201, "{made:?}");
    let tried = |job: &Value| job["error"].is_string();
    let job = server.wait_for("counts", "tried", tried);
    assert!(!job["error"].to_string().contains("there is no"), "both are found: {job}");
    let shown = [
        made.text,
        job.to_string(),
        server.get("/v1/jobs/counts/logs").text,
        server.get("/v1/jobs/counts/plan").text,
        server.get("/metrics").text,
        server.sandbox.read(super::LOG),
        server.sandbox.read("data/server/audit.jsonl"),
        server.sandbox.read("data/server/jobs/counts/versions/1.flowjob"),
    ];
    for text in shown {
        assert!(!text.contains("hush-of"), "{text}");
    }
}
