//! Registries: a folder, none, one that refuses, and one that takes the connection and says
//! nothing.

use std::net::TcpListener;

use serde_json::json;

use crate::client::Client;

const URI: &str = "file:///sales.flow";

fn program(url: &str) -> String {
    format!(
        "CREATE STREAM sales WITH ('connector' = 'kafka', 'format' = 'avro', \
         'avro-confluent.url' = '{url}');\nSELECT total, nothing FROM sales;\n\
         CREATE STREAM other (a INT) WITH ('connector' = 'file', 'path' = 'x', \
         'format' = 'json');\nSELECT a FROM other;\nSELECT b FROM other;\n"
    )
}

#[test]
fn columns_of_a_folder_are_known_when_it_has_been_read() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let sale = r#"{"type": "record", "name": "Sale", "fields": [
        {"name": "id", "type": "long"}, {"name": "total", "type": "double"}]}"#;
    std::fs::write(folder.path().join("sales-value.avsc"), sale).expect("it can be written");
    let mut client = Client::new();
    client.open(URI, &program(&folder.path().display().to_string()));
    loop {
        let found = client.codes(URI, 1);
        if found == ["E0202", "E0202"] {
            break;
        }
        assert_eq!(found, ["E0202"], "before the folder is read, only what is known is told");
    }
    let hover = client.at("textDocument/hover", URI, "CREATE STREAM sal");
    assert!(hover["contents"]["value"].as_str().is_some_and(|t| t.contains("total DOUBLE")));
    let list = client.at("textDocument/completion", URI, "SELECT tot");
    assert_eq!(list["items"][0]["label"], "total");
}

#[test]
fn a_registry_that_does_not_exist_is_a_diagnostic() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    drop(listener);
    let mut client = Client::new();
    client.open(URI, &program(&format!("http://{address}")));
    while !client.codes(URI, 1).contains(&"E0710".to_string()) {}
    assert_eq!(client.stop().code(), Some(0));
}

#[test]
fn a_registry_that_says_nothing_delays_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let mut client = Client::new();
    client.open(URI, &program(&format!("http://{address}")));
    assert_eq!(client.codes(URI, 1), ["E0202"], "the rest is checked at once");
    let hover = client.at("textDocument/hover", URI, "SELECT a");
    assert!(hover["contents"]["value"].as_str().is_some_and(|t| t.contains("other.a INT")));
    client.edit(URI, 2, "SELECT b", "SELECT a");
    assert_eq!(client.codes(URI, 2), Vec::<String>::new());
    let silent = client.diagnostics(URI, 2);
    assert_eq!(silent[0]["code"], "E0710");
    assert!(silent[0]["message"].as_str().is_some_and(|m| m.contains("has not answered")));
    drop(listener);
    client.request("textDocument/documentSymbol", json!({ "textDocument": { "uri": URI } }));
}

#[test]
fn without_a_registry_the_way_out_is_told() {
    let mut client = Client::new();
    let text = "CREATE STREAM sales WITH ('connector' = 'kafka', 'format' = 'avro');\n\
                SELECT 1 AS one FROM sales;";
    client.open(URI, text);
    loop {
        let found = client.diagnostics(URI, 1);
        if let Some(d) = found.iter().find(|d| d["code"] == "E0710") {
            assert!(
                d["message"].as_str().is_some_and(|m| m.contains("SCHEMA_REGISTRY_URL")),
                "{d}"
            );
            break;
        }
    }
}
