//! Files that change: many edits, requests that wait while the text changes, many files, big files,
//! text that is nowhere on disk.

use serde_json::json;

use crate::client::Client;

const URI: &str = "untitled:Untitled-1";

const STREAM: &str = "CREATE STREAM s (a INT, b STRING) WITH ('connector' = 'file', \
                      'path' = 'x', 'format' = 'json');\n";

#[test]
fn diagnostics_follow_the_text() {
    let mut client = Client::new();
    client.open(URI, &format!("{STREAM}SELECT 'é😀', c FROM s;"));
    assert_eq!(client.codes(URI, 1), ["E0202"]);
    client.edit(URI, 2, ", c FROM", ", b FROM");
    assert_eq!(client.codes(URI, 2), Vec::<String>::new());
    client.edit(URI, 3, "'é😀'", "'é😀");
    assert!(client.codes(URI, 3).contains(&"E0105".to_string()));
    client.edit(URI, 4, "'é😀", "'");
    client.edit(URI, 5, "', b", "'ü', xyz");
    let found = client.diagnostics(URI, 5);
    assert_eq!(found[0]["range"], client.range(URI, "xyz"));
}

#[test]
fn a_whole_text_replaces_the_old_one_and_closing_clears() {
    let mut client = Client::new();
    client.open(URI, "SELECT");
    assert_eq!(client.codes(URI, 1).len(), 1);
    client.notify(
        "textDocument/didChange",
        json!({
            "textDocument": { "uri": URI, "version": 2 },
            "contentChanges": [{ "text": format!("{STREAM}SELECT a FROM s;") }],
        }),
    );
    assert_eq!(client.codes(URI, 2), Vec::<String>::new());
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": URI } }));
    let cleared = client.wait(|m| {
        m["method"] == "textDocument/publishDiagnostics" && m["params"].get("version").is_none()
    });
    assert_eq!(cleared["params"]["diagnostics"], json!([]));
}

#[test]
fn a_request_is_about_the_text_when_its_turn_comes() {
    let mut client = Client::new();
    client.open(URI, &format!("{STREAM}SELECT a FROM s;"));
    let position = client.behind(URI, "SELECT a");
    let params = json!({ "textDocument": { "uri": URI }, "position": position });
    let mut asked = Vec::new();
    for round in 0..20 {
        let (from, to) =
            if round % 2 == 0 { ("SELECT a", "SELECT b") } else { ("SELECT b", "SELECT a") };
        asked.push((client.ask("textDocument/hover", params.clone()), round));
        client.edit(URI, round + 2, from, to);
    }
    for (id, round) in asked {
        let wanted = if round % 2 == 0 { "s.a INT" } else { "s.b STRING" };
        let answer = client.response(id);
        let text = answer["result"]["contents"]["value"].as_str().expect("a text");
        assert!(text.contains(wanted), "round {round}: {text}");
    }
    assert_eq!(client.codes(URI, 21), Vec::<String>::new(), "the last text is checked");
}

#[test]
fn a_request_that_is_taken_back_is_answered_once() {
    let mut client = Client::new();
    client.open(URI, &format!("{STREAM}{}", "SELECT a FROM s;\n".repeat(2_000)));
    let params =
        json!({ "textDocument": { "uri": URI }, "position": { "line": 0, "character": 15 } });
    let ids: Vec<i64> =
        (0..10).map(|_| client.ask("textDocument/completion", params.clone())).collect();
    for id in &ids {
        client.notify("$/cancelRequest", json!({ "id": id }));
    }
    for id in ids {
        let answer = client.response(id);
        let cancelled = answer["error"]["code"] == -32800;
        assert!(cancelled || answer.get("result").is_some(), "{answer}");
    }
    assert_eq!(client.stop().code(), Some(0));
}

#[test]
fn many_files_do_not_mix() {
    let mut client = Client::new();
    let uri = |at: usize| format!("file:///many/{at}.flow");
    for at in 0..100 {
        let column = if at % 3 == 0 { "c" } else { "a" };
        client.open(&uri(at), &format!("{STREAM}SELECT {column} FROM s;"));
    }
    for at in 0..100 {
        let wanted: &[&str] = if at % 3 == 0 { &["E0202"] } else { &[] };
        assert_eq!(client.codes(&uri(at), 1), wanted, "{at}");
    }
}

#[test]
fn a_big_file_is_served() {
    let mut client = Client::new();
    let mut text = String::new();
    for at in 0..2_000 {
        text.push_str(&STREAM.replacen("STREAM s", &format!("STREAM s{at}"), 1));
        text.push_str(&format!("CREATE VIEW v{at} AS SELECT a, UPPER(b) AS up FROM s{at};\n"));
    }
    text.push_str("SELECT up FROM v1999;\nSELECT upx FROM v1999;\n");
    client.open(URI, &text);
    assert_eq!(client.codes(URI, 1), ["E0202"]);
    let hover = client.at("textDocument/hover", URI, "SELECT up");
    assert!(hover["contents"]["value"].as_str().is_some_and(|t| t.contains("v1999.up STRING")));
    let list = client.at("textDocument/completion", URI, "SELECT upx");
    assert_eq!(list["items"], json!([]), "no such prefix");
    client.edit(URI, 2, "SELECT upx FROM", "SELECT u FROM");
    let list = client.at("textDocument/completion", URI, "SELECT u");
    assert_eq!(list["items"][0]["label"], "up");
}

#[test]
fn text_that_nobody_would_write_ends_nothing() {
    let mut client = Client::new();
    let deep = format!("SELECT {}1 FROM s", "(".repeat(20_000));
    let texts = ["\0\u{1}\u{FEFF}", "'", "/*", "\"", "é;é;é", &deep, "WITH (", "SET 'a' = '"];
    for (at, text) in texts.iter().enumerate() {
        let uri = format!("file:///odd/{at}.flow");
        client.open(&uri, text);
        client.diagnostics(&uri, 1);
        for line_end in [0, 1, 5] {
            let params = json!({
                "textDocument": { "uri": uri }, "position": { "line": 0, "character": line_end },
            });
            client.request("textDocument/completion", params.clone());
            client.request("textDocument/hover", params.clone());
            client.request("textDocument/definition", params);
        }
        client.request("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
    }
    assert_eq!(client.stop().code(), Some(0));
}
