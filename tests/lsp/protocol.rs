//! Each capability over the protocol, and messages that are not as they should be.

use serde_json::{Value, json};

use crate::client::Client;

const URI: &str = "file:///work/%C3%BC/orders.flow";

const PROGRAM: &str = "\
CREATE STREAM orders (id BIGINT, müller STRING, amount DOUBLE)
WITH ('connector' = 'file', 'path' = 'orders.jsonl', 'format' = 'json');
CREATE VIEW big AS SELECT id, /* 😀 */ müller, amount FROM orders WHERE amount > 10;
SELECT id, amout FROM big;
";

fn opened() -> Client {
    let mut client = Client::new();
    client.open(URI, PROGRAM);
    client
}

#[test]
fn the_server_says_what_it_can() {
    let mut client = Client::start(&["--stdio"]);
    let result = client.request("initialize", json!({ "capabilities": {} }));
    let can = &result["capabilities"];
    assert_eq!(can["textDocumentSync"]["change"], 2, "incremental: {can}");
    assert_eq!(can["positionEncoding"], "utf-16");
    for provider in ["hover", "definition", "documentSymbol", "codeAction", "documentFormatting"] {
        assert_eq!(can[format!("{provider}Provider")], true, "{can}");
    }
    assert!(can["completionProvider"].is_object() && can["signatureHelpProvider"].is_object());
    client.notify("initialized", json!({}));
    assert_eq!(client.stop().code(), Some(0));
}

#[test]
fn diagnostics_have_code_help_page_and_range() {
    let mut client = opened();
    let found = client.diagnostics(URI, 1);
    assert_eq!(found.len(), 1, "{found:?}");
    let d = &found[0];
    assert_eq!(
        (&d["code"], &d["severity"], &d["source"]),
        (&json!("E0202"), &json!(1), &json!("flow"),)
    );
    assert!(d["message"].as_str().is_some_and(|m| m.contains("amout") && m.contains('\n')), "{d}");
    assert_eq!(d["range"], client.range(URI, "amout"));
    let page = d["codeDescription"]["href"].as_str().expect("a link");
    let path = page.strip_prefix("file://").expect("a file");
    assert!(std::fs::read_to_string(path).is_ok_and(|text| text.contains("E0202")), "{page}");
}

#[test]
fn other_places_are_named() {
    let mut client = Client::new();
    let twice = "CREATE STREAM é (a INT) WITH ('connector' = 'print');\n".repeat(2);
    client.open(URI, &twice);
    let found = client.diagnostics(URI, 1);
    let d = found.iter().find(|d| d["code"] == "E0204").expect("declared twice");
    assert_eq!(d["range"]["start"], json!({ "line": 1, "character": 14 }));
    let other = &d["relatedInformation"][0]["location"];
    assert_eq!(
        (&other["uri"], &other["range"]["start"]),
        (&json!(URI), &json!({ "line": 0, "character": 14 }),)
    );
}

#[test]
fn a_fix_is_offered_where_there_is_one() {
    let mut client = Client::new();
    client.open(URI, "CREATE STREAM a (x INT) WITH ('connector' = 'print')\nSELECT 1 FROM a FROM");
    client.diagnostics(URI, 1);
    client.open(URI, "CREATE VIEW v AS SELECT id FRM orders;");
    let range = client.range(URI, "FRM");
    let params = json!({
        "textDocument": { "uri": URI }, "range": range, "context": { "diagnostics": [] },
    });
    let actions = client.request("textDocument/codeAction", params);
    let edit = &actions[0]["edit"]["changes"][URI][0];
    assert_eq!((&edit["newText"], &edit["range"]), (&json!("FROM"), &range), "{actions}");
}

#[test]
fn hover_completion_definition_and_symbols_count_utf16() {
    let mut client = opened();
    let hover = client.at("textDocument/hover", URI, "/* 😀 */ mül");
    assert_eq!(hover["contents"]["kind"], "markdown");
    assert!(hover["contents"]["value"].as_str().is_some_and(|t| t.contains("müller STRING")));
    let line = PROGRAM.lines().nth(2).expect("a line");
    let start = line[..line.find("müller").expect("it is there")].encode_utf16().count();
    assert_eq!(hover["range"]["start"], json!({ "line": 2, "character": start }));
    assert_eq!(hover["range"]["end"], json!({ "line": 2, "character": start + 6 }));

    let found = client.at("textDocument/definition", URI, "/* 😀 */ mül");
    assert_eq!(found["uri"], URI);
    assert_eq!(found["range"], client.range(URI, "müller"));

    let list = client.at("textDocument/completion", URI, "/* 😀 */ mü");
    let item = &list["items"][0];
    assert_eq!(item["label"], "müller");
    assert_eq!(item["textEdit"]["range"]["start"], hover["range"]["start"]);

    let help = client.at("textDocument/signatureHelp", URI, "CREATE STREAM orders (id");
    assert_eq!(help, Value::Null);

    let symbols = client.request(
        "textDocument/documentSymbol",
        json!({
            "textDocument": { "uri": URI },
        }),
    );
    let names: Vec<&Value> =
        symbols.as_array().expect("a list").iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["orders", "big", "SELECT"]);
    assert_eq!(symbols[0]["children"][1]["name"], "müller");
}

#[test]
fn formatting_is_flow_fmt_as_an_edit() {
    let mut client = Client::new();
    let text = "-- é\r\nselect   id,ü from  s ;\nSELECT 1 FROM s;\n";
    client.open(URI, text);
    let params = json!({
        "textDocument": { "uri": URI }, "options": { "tabSize": 2, "insertSpaces": true },
    });
    let edits = client.request("textDocument/formatting", params.clone());
    let edited = client.apply(URI, &edits);
    assert_eq!(edited, flow_compiler::syntax::format::format(text));
    assert!(edited.contains("SELECT id, ü FROM s;"), "{edited}");
    client.open(URI, &edited);
    assert_eq!(client.request("textDocument/formatting", params), json!([]));
}

#[test]
fn functions_are_snippets_where_the_client_takes_them() {
    let mut client = Client::start(&[]);
    client.request(
        "initialize",
        json!({ "capabilities": { "textDocument": { "completion": {
        "completionItem": { "snippetSupport": true },
    } } } }),
    );
    client.open(
        URI,
        "CREATE STREAM s (a STRING) WITH ('connector' = 'file', 'path' = 'x', \
                      'format' = 'json');\nSELECT UPP FROM s;\nSELECT LOW(a) FROM s;",
    );
    let list = client.at("textDocument/completion", URI, "UPP");
    assert_eq!(list["items"][0]["textEdit"]["newText"], "UPPER($0)");
    assert_eq!(list["items"][0]["insertTextFormat"], 2);
    let help = client.at("textDocument/signatureHelp", URI, "LOW(a");
    assert_eq!(help, Value::Null, "LOW is no function");
    client.edit(URI, 2, "LOW(a)", "LOWER(a)");
    let help = client.at("textDocument/signatureHelp", URI, "LOWER(a");
    assert_eq!(help["signatures"][0]["label"], "LOWER(STRING) → STRING");
    assert_eq!(help["activeParameter"], 0);
    client.edit(URI, 3, "LOWER(a)", "LOW(a)");
    let list = client.at("textDocument/completion", URI, "LOW");
    assert_eq!(list["items"][0]["textEdit"]["newText"], "LOWER");
}

#[test]
fn malformed_messages_are_answered_and_the_next_is_served() {
    let mut client = opened();
    client.send_raw(b"Content-Length: 5\r\n\r\n{oops");
    let answer = client.wait(|m| m["error"]["code"] == -32700);
    assert_eq!(answer["id"], Value::Null);
    client.send(&json!({ "jsonrpc": "2.0", "id": "x" }));
    assert_eq!(client.wait(|m| m["id"] == "x")["error"]["code"], -32600);
    client.send(&json!([1, 2]));
    client.wait(|m| m["error"]["code"] == -32600);
    let code = |client: &mut Client, method: &str, params: Value| {
        let id = client.ask(method, params);
        client.response(id)["error"]["code"].clone()
    };
    assert_eq!(code(&mut client, "textDocument/teleport", json!({})), -32601);
    for params in [json!({}), json!(7), json!({ "textDocument": { "uri": URI } })] {
        assert_eq!(code(&mut client, "textDocument/hover", params), -32602);
    }
    let unknown = json!({
        "textDocument": { "uri": "file:///closed" }, "position": { "line": 0, "character": 0 },
    });
    assert_eq!(code(&mut client, "textDocument/hover", unknown), -32602);
    client.notify("textDocument/didOpen", json!({ "textDocument": 7 }));
    client.notify("textDocument/didChange", json!({}));
    client.notify("$/anything", json!([]));
    let far = json!({
        "textDocument": { "uri": URI }, "position": { "line": 4_000_000, "character": 4_000_000 },
    });
    assert_eq!(client.request("textDocument/hover", far), Value::Null);
    assert_eq!(client.stop().code(), Some(0));
}

#[test]
fn the_conversation_has_an_order() {
    let mut client = Client::start(&[]);
    let id = client.ask("textDocument/hover", json!({}));
    assert_eq!(client.response(id)["error"]["code"], -32002, "before initialize");
    client.request("initialize", json!({ "capabilities": {} }));
    let id = client.ask("initialize", json!({ "capabilities": {} }));
    assert_eq!(client.response(id)["error"]["code"], -32600, "twice");
    client.request("shutdown", Value::Null);
    let id = client.ask("textDocument/hover", json!({}));
    assert_eq!(client.response(id)["error"]["code"], -32600, "after shutdown");
    client.notify("exit", Value::Null);
    assert_eq!(client.ended().code(), Some(0));
}

#[test]
fn an_end_without_shutdown_is_told_from_one_with() {
    let mut client = opened();
    client.notify("exit", Value::Null);
    assert_eq!(client.ended().code(), Some(1));
    assert_eq!(opened().hang_up().code(), Some(0), "the editor is gone");
    let mut client = opened();
    client.send_raw(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.ended().code(), Some(4), "no messages at all");
}
