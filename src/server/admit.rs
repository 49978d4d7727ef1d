//! What a server does not take from others: programs that would read or write its machine. Whoever
//! may submit jobs may use its brokers, registries and secrets, but not its files, and no property
//! that makes a client run a command or load a library.

use std::path::{Component, Path};

use flow_ir::physical::{JobGraph, Stream};

/// Ends of client properties that name files of the machine.
const FILES: [&str; 3] = [".location", ".keytab", ".library.paths"];

/// Parts of client properties that make the client run something.
const COMMANDS: [&str; 3] = ["kinit", "plugin.", "ssl.engine"];

/// Looks through a program from outside; paths of its files become those in `files`.
///
/// # Errors
/// Names the stream and what it may not do.
pub fn admit(graph: &mut JobGraph, files: Option<&Path>) -> Result<(), String> {
    let of_program = graph.settings.other.keys();
    if let Some(option) =
        of_program.filter_map(|name| name.strip_prefix("properties.")).find(|n| reaches_out(n))
    {
        return Err(refusal("the program", option));
    }
    if graph.settings.other.contains_key("state.dir") {
        return Err("the program sets state.dir; a server keeps the state of its jobs in its own \
                    folder"
            .into());
    }
    for stream in &mut graph.streams {
        let name = stream.name.clone();
        if let Some(option) = stream.options.keys().find(|option| reaches_out(option)) {
            return Err(refusal(&format!("stream {name}"), option));
        }
        if stream.connector == "file" {
            place(stream, files)?;
        }
    }
    Ok(())
}

fn reaches_out(option: &str) -> bool {
    FILES.iter().any(|end| option.ends_with(end))
        || COMMANDS.iter().any(|part| option.contains(part))
}

fn refusal(who: &str, option: &str) -> String {
    format!(
        "{who} sets {option}, which reaches into the server's machine; it can be set under [kafka] \
         in flow.toml, or as text where the client knows a property for that, such as ssl.ca.pem"
    )
}

/// Puts a stream's file into the folder of files.
fn place(stream: &mut Stream, files: Option<&Path>) -> Result<(), String> {
    let name = &stream.name;
    let Some(files) = files else {
        return Err(format!(
            "stream {name} is a file, and jobs of this server have none; allow it with files in \
             [jobs] of flow.toml"
        ));
    };
    let path = stream.options.get("path").map_or("", String::as_str);
    let inside = Path::new(path).strip_prefix(files).unwrap_or(Path::new(path));
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path == "-" || path.is_empty() || !inside.components().all(plain) {
        return Err(format!(
            "stream {name}: '{path}' is not in the folder of files that jobs of this server may use"
        ));
    }
    let whole = files.join(inside).to_string_lossy().into_owned();
    stream.options.insert("path".into(), whole);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flow_ir::physical::{Settings, StreamSchemas};

    use super::*;

    fn graph(connector: &str, options: &[(&str, &str)], setting: Option<&str>) -> JobGraph {
        let option = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let other = setting.map(|name| (name.to_string(), "v".to_string())).into_iter().collect();
        let stream = Stream {
            name: "s".into(),
            connector: connector.into(),
            options: options.iter().map(option).collect::<BTreeMap<_, _>>(),
            value_format: None,
            key_format: None,
            columns: Vec::new(),
            primary_key: Vec::new(),
            schemas: StreamSchemas::default(),
        };
        JobGraph {
            name: "j".into(),
            settings: Settings { other, ..Settings::default() },
            streams: vec![stream],
            vertices: Vec::new(),
            edges: Vec::new(),
            tables: Vec::new(),
            sites: Vec::new(),
            sources: Vec::new(),
        }
    }

    #[test]
    fn files_stay_in_their_folder() {
        let files = Path::new("/srv/files");
        for (path, becomes) in [
            ("in.jsonl", Some("/srv/files/in.jsonl")),
            ("a/b.jsonl", Some("/srv/files/a/b.jsonl")),
            ("/srv/files/in.jsonl", Some("/srv/files/in.jsonl")),
            ("../secret", None),
            ("/srv/files/../secret", None),
            ("/etc/passwd", None),
            ("-", None),
            ("", None),
        ] {
            let mut graph = graph("file", &[("path", path)], None);
            let admitted = admit(&mut graph, Some(files));
            assert_eq!(admitted.is_ok(), becomes.is_some(), "{path}");
            if let Some(becomes) = becomes {
                assert_eq!(graph.streams[0].option("path"), Some(becomes));
            }
        }
        let refused = admit(&mut graph("file", &[("path", "a")], None), None).unwrap_err();
        assert!(refused.contains("[jobs]"), "{refused}");
    }

    #[test]
    fn state_lies_where_the_server_keeps_it() {
        let mut graph = graph("kafka", &[], Some("state.dir"));
        let refused = admit(&mut graph, None).unwrap_err();
        assert!(refused.contains("state.dir"), "{refused}");
    }

    #[test]
    fn no_property_reaches_into_the_machine() {
        for bad in [
            "properties.ssl.ca.location",
            "properties.plugin.library.paths",
            "properties.sasl.kerberos.kinit.cmd",
            "properties.sasl.kerberos.keytab",
            "properties.ssl.truststore.location",
            "avro-confluent.ssl.truststore.location",
        ] {
            assert!(admit(&mut graph("kafka", &[(bad, "v")], None), None).is_err(), "{bad}");
        }
        let by_setting = graph("kafka", &[], Some("properties.ssl.key.location"));
        assert!(admit(&mut by_setting.clone(), None).is_err());
        let good = [("properties.bootstrap.servers", "h:1"), ("topic", "t")];
        assert!(admit(&mut graph("kafka", &good, None), None).is_ok());
    }
}
