//! Typed commands: checked, written once, answered with where they stand.

use serde_json::json;

use super::{COPY, COUNTS, Sandbox, Server, canonical, until};

#[test]
fn objects_become_records_and_are_counted() {
    let server = Server::with_clicks(0..0);
    server.submit("", COUNTS).expect(201);
    server.wait_for_state("counts", "running");
    let one = server.post("/v1/streams/clicks", &json!({"page": "p", "n": 2})).expect(200);
    assert_eq!((&one["records"], &one["repeated"]), (&json!(1), &json!(false)));
    let many = json!([{"page": "p", "n": 3}, {"page": "q"}]);
    server.post("/v1/streams/clicks?job=counts", &many).expect(200);
    let expected = [
        canonical("{\"page\":\"p\",\"clicks\":2,\"n\":5}"),
        canonical("{\"page\":\"q\",\"clicks\":1,\"n\":null}"),
    ];
    until("they are counted", || {
        let now: Vec<_> = server.sandbox.last_of_each_key("counts").into_values().collect();
        (now == expected).then_some(())
    });
}

#[test]
fn a_key_writes_once_also_over_a_kill() {
    let server = Server::with_clicks(0..0);
    server.submit("", COPY).expect(201);
    server.wait_for_state("copy", "running");
    let click = json!({"page": "p", "n": 1}).to_string();
    let send = |server: &Server, body: &str| {
        let body = Some(("application/json", body.as_bytes()));
        server.ask_with("POST", "/v1/streams/clicks", body, &[("Idempotency-Key", "k1")])
    };
    let first = send(&server, &click).expect(200);
    let again = send(&server, &click).expect(200);
    assert_eq!((&again["repeated"], &again["token"]), (&json!(true), &first["token"]));
    send(&server, "{\"page\":\"q\"}").tells(422, "another request");
    let server = Server::start_in(server.kill(), &[]);
    server.wait_for_state("copy", "running");
    assert_eq!(send(&server, &click).expect(200)["repeated"], true);
    server.wait_for_input("copy", 1);
    assert_eq!(server.sandbox.all("clicks").len(), 1);
}

#[test]
fn avro_streams_get_avro_of_the_registrys_schema() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "click.avsc",
        r#"{"type": "record", "name": "Click", "fields": [
            {"name": "page", "type": "string"}, {"name": "n", "type": "long"}]}"#,
    );
    sandbox.must(&["schema", "register", "clicks-value", "click.avsc", "--local", "data"]);
    sandbox.must(&["topic", "create", "clicks", "--local", "data"]);
    let server = Server::start_in(sandbox, &[]);
    let program = COPY.replace(
        "clicks (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json')",
        "clicks WITH (connector = 'kafka', format = 'avro')",
    );
    server.submit("", &program).expect(201);
    server.wait_for_state("copy", "running");
    server.post("/v1/streams/clicks", &json!({"page": "p", "n": 7})).expect(200);
    server.post("/v1/streams/clicks", &json!({"page": "p"})).tells(422, "n");
    server.post("/v1/streams/clicks", &json!({"page": "p", "n": "x"})).expect(422);
    server.wait_for_input("copy", 1);
    assert_eq!(server.sandbox.all("copies"), [canonical("{\"page\":\"p\",\"n\":7}")]);
    let subjects = server.get("/v1/schemas").expect(200);
    assert!(subjects["subjects"].as_array().unwrap().contains(&json!("clicks-value")));
    let schema = server.get("/v1/schemas/clicks-value").expect(200);
    assert_eq!((&schema["version"], &schema["schema_type"]), (&json!(1), &json!("AVRO")));
    let topic = server.get("/v1/topics/clicks").expect(200);
    assert_eq!(topic["records"], 1, "what was refused is not written");
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let server = Server::with_clicks(0..0);
    server.post("/v1/streams/clicks", &json!({"page": "p"})).tells(404, "no job has a stream");
    server.submit("", COPY).expect(201);
    server.wait_for_state("copy", "running");
    for (body, part) in [
        (json!({"pag": "p"}), "there is no column pag; there are: n, page"),
        (json!({"page": "p", "n": 1.5}), ""),
        (json!({"page": "p", "n": {}}), ""),
        (json!({"n": 1}), ""),
        (json!([{"page": "p"}, {"page": null}]), "record 2"),
    ] {
        server.post("/v1/streams/clicks", &body).tells(422, part);
    }
    for body in [json!([]), json!("text"), json!(null), json!([1])] {
        server.post("/v1/streams/clicks", &body).expect(400);
    }
    server.ask("POST", "/v1/streams/clicks", Some(("application/json", b"{\"page\":"))).expect(400);
    server.post("/v1/streams/clicks?job=none", &json!({"page": "p"})).expect(404);
    let too_many = vec![json!({"page": "p"}); 1_001];
    server.post("/v1/streams/clicks", &json!(too_many)).tells(400, "1 to 1000");
    server.ask("POST", "/v1/jobs/copy/pause", None).expect(200);
    server.post("/v1/streams/clicks", &json!({"page": "p"})).tells(409, "runs");
    assert_eq!(server.get("/v1/topics/clicks").expect(200)["records"], 0);
}
