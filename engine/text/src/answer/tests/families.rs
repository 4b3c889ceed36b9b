//! Each family by a small template in its style: which one it is seen to be, how its answers are read, and what its
//! templates are given.

use super::*;
use crate::answer::family::Body;
use crate::answer::written;

/// A family as its template and its model write.
pub struct Family {
    pub name: &'static str,
    pub template: &'static str,
    pub call: &'static str,
}

macro_rules! turns {
    ($tools:literal, $call:literal, $result:literal, $prompt:literal) => {
        concat!(
            "{% if tools %}",
            $tools,
            "{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content }}",
            "{% if m.tool_calls %}",
            $call,
            "{% endif %}{% if m.role == 'tool' %}",
            $result,
            "{% endif %}{% endfor %}",
            $prompt
        )
    };
}

pub const FAMILIES: [Family; 13] = [
    Family {
        name: "hermes",
        template: turns!(
            "<tools>{{ tools | tojson }}</tools>",
            "{% for c in m.tool_calls %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}",
            "",
            "[assistant]"
        ),
        call: "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"x\": 1, \"text\": \"a\\n\\\"b\\\"\"}}\n</tool_call>",
    },
    Family {
        name: "qwen coder",
        template: turns!(
            "{{ tools | tojson }}",
            "{% for c in m.tool_calls %}<tool_call>\n<function={{ c.function.name }}>\n{% for k, v in c.function.arguments | items %}<parameter={{ k }}>\n{{ v }}\n</parameter>\n{% endfor %}</function>\n</tool_call>{% endfor %}",
            "",
            "[assistant]"
        ),
        call: "<tool_call>\n<function=add>\n<parameter=x>\n1\n</parameter>\n<parameter=text>\na\n\"b\"\n</parameter>\n</function>\n</tool_call>",
    },
    Family {
        name: "seed",
        template: turns!(
            "{{ tools | tojson }}",
            "{% for c in m.tool_calls %}<seed:tool_call><function={{ c.function.name }}>{% for k, v in c.function.arguments | items %}<parameter={{ k }}>{{ v }}</parameter>{% endfor %}</function></seed:tool_call>{% endfor %}",
            "",
            "[assistant]"
        ),
        call: "<seed:tool_call>\n<function=add>\n<parameter=x>1</parameter>\n<parameter=text>a\n\"b\"</parameter>\n</function>\n</seed:tool_call>",
    },
    Family {
        name: "glm",
        template: turns!(
            "{{ tools | tojson }}",
            "{% for c in m.tool_calls %}<tool_call>{{ c.function.name }}\n{% for k, v in c.function.arguments.items() %}<arg_key>{{ k }}</arg_key>\n<arg_value>{{ v if v is string else v | tojson(ensure_ascii=False) }}</arg_value>\n{% endfor %}</tool_call>{% endfor %}",
            "",
            "[assistant]"
        ),
        call: "<tool_call>add\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>\n<arg_key>text</arg_key>\n<arg_value>a\n\"b\"</arg_value>\n</tool_call>",
    },
    Family {
        name: "minimax",
        template: turns!(
            "{{ tools | tojson }}",
            "<minimax:tool_call>\n{% for c in m.tool_calls %}<invoke name=\"{{ c.function.name }}\">\n{% for k, v in c.function.arguments.items() %}<parameter name=\"{{ k }}\">{{ v if v is string else v | tojson }}</parameter>\n{% endfor %}</invoke>\n{% endfor %}</minimax:tool_call>",
            "",
            "[assistant]<think>\n"
        ),
        call: "<minimax:tool_call>\n<invoke name=\"add\">\n<parameter name=\"x\">1</parameter>\n<parameter name=\"text\">a\n\"b\"</parameter>\n</invoke>\n</minimax:tool_call>",
    },
    Family {
        name: "deepseek 3.2",
        template: turns!(
            "{{ tools | tojson }}",
            "{% set d = '｜DSML｜' %}<{{ d }}function_calls>\n{% for c in m.tool_calls %}<{{ d }}invoke name=\"{{ c.function.name }}\">\n{% for k, v in c.function.arguments.items() %}<{{ d }}parameter name=\"{{ k }}\" string=\"{{ 'true' if v is string else 'false' }}\">{{ v if v is string else v | tojson }}</{{ d }}parameter>\n{% endfor %}</{{ d }}invoke>\n{% endfor %}{{ '</' + d + 'function_calls>' }}",
            "",
            "[assistant]</think>"
        ),
        call: "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"add\">\n<｜DSML｜parameter name=\"x\" string=\"false\">1</｜DSML｜parameter>\n<｜DSML｜parameter name=\"text\" string=\"true\">a\n\"b\"</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    },
    Family {
        name: "deepseek 3",
        template: turns!(
            "{{ tools | tojson }}",
            "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}{{ '<｜tool▁call▁begin｜>function<｜tool▁sep｜>' + c.function.name + '\n```json\n' + c.function.arguments + '\n```<｜tool▁call▁end｜>' }}{% endfor %}<｜tool▁calls▁end｜>",
            "",
            "[assistant]<think>\n"
        ),
        call: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{\"x\": 1, \"text\": \"a\\n\\\"b\\\"\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    },
    Family {
        name: "deepseek 3.1",
        template: turns!(
            "",
            "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}{{ '<｜tool▁call▁begin｜>' + c.function.name + '<｜tool▁sep｜>' + c.function.arguments + '<｜tool▁call▁end｜>' }}{% endfor %}<｜tool▁calls▁end｜>",
            "",
            "[assistant]</think>"
        ),
        call: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{\"x\": 1, \"text\": \"a\\n\\\"b\\\"\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    },
    Family {
        name: "kimi",
        template: turns!(
            "{{ tools | tojson }}",
            "<|tool_calls_section_begin|>{% for c in m.tool_calls %}<|tool_call_begin|>{{ 'functions.' + c.function.name + ':' + loop.index0 | string }}<|tool_call_argument_begin|>{{ c.function.arguments | tojson }}<|tool_call_end|>{% endfor %}<|tool_calls_section_end|>",
            " of {{ m.tool_call_id }}",
            "[assistant]"
        ),
        call: "<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{\"x\": 1, \"text\": \"a\\n\\\"b\\\"\"}<|tool_call_end|><|tool_calls_section_end|>",
    },
    Family {
        name: "mistral",
        template: turns!(
            "[AVAILABLE_TOOLS]{{ tools | tojson }}",
            "{% for c in m.tool_calls %}[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}",
            "",
            "[assistant]"
        ),
        call: "[TOOL_CALLS]add[ARGS]{\"x\": 1, \"text\": \"a\\n\\\"b\\\"\"}",
    },
    Family {
        name: "mistral, list",
        template: turns!(
            "[AVAILABLE_TOOLS]{{ tools | tojson }}",
            "[TOOL_CALLS][{% for c in m.tool_calls %}{% if c.id | length != 9 %}{{ raise_exception('ids have nine letters') }}{% endif %}{{ (c.function | tojson)[:-1] }}, \"id\": \"{{ c.id }}\"}{% if not loop.last %}, {% endif %}{% endfor %}]",
            " of {{ m.tool_call_id }}",
            "[assistant]"
        ),
        call: "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"x\": 1, \"text\": \"a\\n\\\"b\\\"\"}, \"id\": \"abcdefghi\"}]",
    },
    Family {
        name: "llama",
        template: turns!(
            "{{ tools | tojson }}",
            "{% if m.tool_calls | length > 1 %}{{ raise_exception('one at a time') }}{% endif %}<|start_header_id|>{{ '{\"name\": \"' + m.tool_calls[0].function.name + '\", ' }}{{ '\"parameters\": ' }}{{ m.tool_calls[0].function.arguments | tojson }}}",
            "",
            "[assistant]"
        ),
        call: "{\"name\": \"add\", \"parameters\": {\"x\": 1, \"text\": \"a\\n\\\"b\\\"\"}}",
    },
    Family {
        name: "harmony",
        template: turns!(
            "{{ tools | tojson }}",
            "{% if m.thinking and m.content %}{{ raise_exception('not both') }}{% endif %}<|channel|>analysis<|message|>{{ m.thinking }}<|end|><|start|>assistant to=functions.{{ m.tool_calls[0].function.name }}<|channel|>commentary json<|message|>{{ m.tool_calls[0].function.arguments | tojson }}<|call|>",
            "",
            "<|start|>assistant"
        ),
        call: "<|channel|>commentary to=functions.add <|constrain|>json<|message|>{\"x\": 1, \"text\": \"a\\n\\\"b\\\"\"}<|call|>",
    },
];

impl Family {
    pub fn syntax(&self) -> &'static Syntax {
        format(self.template).syntax
    }

    pub fn is_headed(&self) -> bool {
        matches!(self.syntax().body, Body::Headed { .. })
    }
}

fn read_as(syntax: &'static Syntax, answer: &str) -> Vec<Piece> {
    read(AnswerParser::new(reading(syntax, None, false)), &[answer])
}

/// The calls among pieces.
pub fn calls(pieces: &[Piece]) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::ToolCall { name, .. } => calls.push((name.clone(), String::new())),
            Piece::Arguments { text, index } => calls[*index as usize].1.push_str(text),
            Piece::Text(_) | Piece::Reasoning(_) => {}
        }
    }
    calls
}

#[test]
fn a_call_is_read_from_each() {
    for family in &FAMILIES {
        let format = format(family.template);
        let name = family.name;
        assert!(format.knows_tools(), "{name}");
        assert_eq!(format.renders_tools, name != "deepseek 3.1", "{name}");
        let expected = [
            Piece::ToolCall {
                index: 0,
                name: "add".to_owned(),
            },
            Piece::Arguments {
                index: 0,
                text: r#"{"x": 1, "text": "a\n\"b\""}"#.to_owned(),
            },
        ];
        assert_eq!(read_as(format.syntax, family.call), expected, "{name}");
    }
}

#[test]
fn what_is_written_is_read() {
    let made = |arguments: &str| ToolCall {
        id: String::new(),
        name: "add".to_owned(),
        arguments: arguments.to_owned(),
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for family in &FAMILIES {
        let mut made = vec![
            made(r#"{"x": 1, "text": "a\n\"b\" é </x>"}"#),
            made("{}"),
            made(r#"{"list": [1, {"a": "b"}], "maybe": null, "text": "\n12\n"}"#),
        ];
        if family.is_headed() {
            made.truncate(1);
        }
        let text = written::calls(family.syntax(), &made, 0);
        let pieces = read_as(family.syntax(), &text);
        let read = calls(&pieces);
        assert_eq!(read.len(), made.len(), "{text}\n{pieces:?}");
        for (made, (name, arguments)) in made.iter().zip(read) {
            assert_eq!(name, made.name);
            assert_eq!(json(&arguments), json(&made.arguments), "{text}");
        }
        let is_said = |piece: &Piece| matches!(piece, Piece::Text(_));
        assert!(!pieces.iter().any(is_said), "{text}\n{pieces:?}");
    }
}

#[test]
fn words_around_calls_stay() {
    // Llama's calls are the whole answer, and a part with a heading ends with its mark.
    for family in FAMILIES
        .iter()
        .filter(|family| family.name != "llama" && !family.is_headed())
    {
        let answer = format!("First.\n\n{}\nThen.", family.call);
        let pieces = read_as(family.syntax(), &answer);
        assert_eq!(pieces.len(), 4, "{pieces:?}");
        assert_eq!(pieces[0], Piece::Text("First.".to_owned()));
        assert_eq!(pieces[3], Piece::Text("Then.".to_owned()));
    }
}

#[test]
fn a_tool_that_is_not_there_is_not_called() {
    for family in &FAMILIES {
        let answer = family.call.replace("add", "fly");
        let mut without_tools = reading(family.syntax(), None, false);
        without_tools.tools.clear();
        for (pieces, answer) in [
            (read_as(family.syntax(), &answer), answer.as_str()),
            (
                read(AnswerParser::new(without_tools), &[family.call]),
                family.call,
            ),
        ] {
            let [Piece::Text(said)] = pieces.as_slice() else {
                panic!("{}: {pieces:?}", family.name);
            };
            assert!(family.is_headed() || said == answer, "{said}");
        }
    }
}

#[test]
fn parts_of_an_answer_with_headings() {
    let harmony = FAMILIES[12].syntax();
    let check = |answer: &str, expected: &Expect| {
        let pieces = read_as(harmony, answer);
        let lines: Vec<String> = pieces.iter().map(|piece| format!("{piece:?}")).collect();
        expected.assert_eq(&lines.join("\n"));
    };
    check(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>\
         <|start|>assistant to=functions.add<|channel|>commentary json<|message|>{\"x\": 1}<|call|>more",
        &expect![[r#"
            Reasoning("Hm.")
            Text("I look.")
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }"#]],
    );
    check(
        "<|channel|>analysis<|message|>A.<|end|><|start|>assistant<|channel|>analysis<|message|>B.<|end|>\
         <|start|>assistant<|channel|>final<|message|>  Yes <|x|>",
        &expect![[r#"
            Reasoning("A.\n\nB.")
            Text("  Yes <|x|>")"#]],
    );
    check("Just words", &expect![[r#"Text("Just words")"#]]);
    check("<|channel|>fin", &expect![[""]]);
}

#[test]
fn families_are_told_in_their_own_way() {
    let mut conversation = conversation();
    let second = ToolCall {
        id: "b".to_owned(),
        name: "sub".to_owned(),
        arguments: "{}".to_owned(),
    };
    conversation.messages[2].tool_calls.push(second);
    conversation.messages[2].reasoning = "hm".to_owned();
    conversation.messages[2].content = "Well.".to_owned();
    for (message, id) in conversation.messages[3..].iter_mut().zip(["a", "b"]) {
        message.tool_call_id = Some(id.to_owned());
    }
    let check = |name: &str, expected: &Expect| {
        let family = FAMILIES.iter().find(|family| family.name == name).unwrap();
        let text = rendered(family.template, &conversation);
        expected.assert_eq(&text[text.find("[user]").unwrap()..]);
    };
    // Arguments as text.
    check(
        "deepseek 3.1",
        &expect![[
            r#"[user]Add.[assistant]Well.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"x": 1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>sub<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>[tool]2[tool]3[assistant]</think>"#
        ]],
    );
    // Ids of its own.
    check(
        "kimi",
        &expect![[
            r#"[user]Add.[assistant]Well.<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{"x": 1}<|tool_call_end|><|tool_call_begin|>functions.sub:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>[tool]2 of functions.add:0[tool]3 of functions.sub:1[assistant]"#
        ]],
    );
    // Ids of nine letters.
    check(
        "mistral, list",
        &expect![[
            r#"[user]Add.[assistant]Well.[TOOL_CALLS][{"name": "add", "arguments": {"x": 1}, "id": "grr4viogn"}, {"name": "sub", "arguments": {}, "id": "1txmlurmo"}][tool]2 of grr4viogn[tool]3 of 1txmlurmo[assistant]"#
        ]],
    );
    // One call in a turn.
    check(
        "llama",
        &expect![[
            r#"[user]Add.[assistant]Well.<|start_header_id|>{"name": "add", "parameters": {"x": 1}}[tool]2[assistant]<|start_header_id|>{"name": "sub", "parameters": {}}[tool]3[assistant]"#
        ]],
    );
    // Thoughts in a field of another name, and not beside words.
    check(
        "harmony",
        &expect![[r#"
        [user]Add.[assistant]<|channel|>analysis<|message|>hm

        Well.<|end|><|start|>assistant to=functions.add<|channel|>commentary json<|message|>{"x": 1}<|call|>[tool]2[assistant]<|channel|>analysis<|message|><|end|><|start|>assistant to=functions.sub<|channel|>commentary json<|message|>{}<|call|>[tool]3<|start|>assistant"#]],
    );
}
