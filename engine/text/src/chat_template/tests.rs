use base::{Effort, Message, Role};
use expect_test::{Expect, expect};

use super::*;

fn message(role: Role, content: &str) -> Message {
    Message::new(role, content)
}

fn talk() -> Vec<Message> {
    vec![
        message(Role::System, "Be kind."),
        message(Role::User, "Hi <b> & \"you\""),
        message(Role::Assistant, "<think>\nhm\n</think>\n\nHello"),
        message(Role::User, "Bye"),
    ]
}

fn render(source: &str, messages: &[Message]) -> Result<String, RenderError> {
    let conversation = Conversation {
        messages: messages.to_vec(),
        ..Conversation::default()
    };
    let special = SpecialTokens {
        bos: Some("<s>".to_owned()),
        eos: Some("</s>".to_owned()),
        end_ids: vec![],
    };
    ChatTemplate::new(source, special)
        .expect("the test's template parses")
        .render(&conversation, 1_735_689_600)
}

fn check(source: &str, expected: &Expect) {
    let text = render(source, &talk()).unwrap_or_else(|error| format!("error: {error}"));
    expected.assert_eq(&text);
}

#[test]
fn turns_with_marks() {
    check(
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m['content'] | trim }}{{ eos_token }}\n{% endfor %}\
         {% if add_generation_prompt %}[assistant]{% endif %}",
        &expect![[r#"
            <s>[system] Be kind.</s>
            [user] Hi <b> & "you"</s>
            [assistant] <think>
            hm
            </think>

            Hello</s>
            [user] Bye</s>
            [assistant]"#]],
    );
}

#[test]
fn python_methods_slices_and_namespaces() {
    check(
        "{%- set ns = namespace(last=-1) -%}
        {%- for m in messages[::-1] -%}
            {%- if m.role == 'user' and ns.last < 0 -%}{%- set ns.last = loop.index0 -%}{%- endif -%}
        {%- endfor -%}
        {%- for m in messages -%}
            {%- if '</think>' in m.content -%}{{ m.content.split('</think>')[-1].lstrip('\\n') }};
            {%- elif m.content.startswith('Hi') -%}{{ m.content.upper() }};{%- endif -%}
            {%- if loop.previtem is defined and loop.previtem.role == m.role -%}twice{%- endif -%}
        {%- endfor -%}
        {{ ns.last }} {{ tools is none }} {{ missing is defined }} {{ messages[0].content is string }}",
        &expect![[r#"HI <B> & "YOU";Hello;0 True False True"#]],
    );
}

#[test]
fn json_as_python_writes_it() {
    check(
        "{{ messages[1] | tojson }}\n{{ {'a': [1, true, none], 'b': 'é'} | tojson(indent=2) }}",
        &expect![[r#"
            {"role": "user", "content": "Hi <b> & \"you\""}
            {
              "a": [
                1,
                true,
                null
              ],
              "b": "é"
            }"#]],
    );
}

#[test]
fn what_python_has_beyond_jinja() {
    // A list that changes, and marks of what a model is trained on.
    check(
        "{%- set ns = namespace(ids=[], n=0) -%}
        {%- for m in messages -%}{%- set _ = ns.ids.append(m.role) -%}{%- set ns.n = ns.n + 1 -%}{%- endfor -%}
        {%- generation -%}{{ ns.ids.pop(0) }} {{ ns.ids.pop() }} {{ ns.ids | length }} {{ ns.ids | join(',') }} {{ ns.n }}{%- endgeneration -%}",
        &expect!["system user 2 user,assistant 4"],
    );
    check(
        "{%- set ns = namespace(ids=[]) -%}{%- set _ = ns.ids.append(ns.ids) -%}",
        &expect![
            "error: the model's chat template failed: invalid operation: only plain values can be appended to a list (in chat:1) (hint: the model can still be used through /v1/completions)"
        ],
    );
    check(
        "{% set ns = namespace(ids=[]) %}{{ ns.ids.pop() }}",
        &expect![
            "error: the model's chat template failed: invalid operation: pop from an empty list (in chat:1) (hint: the model can still be used through /v1/completions)"
        ],
    );
    check(
        "{{ none is iterable }} {{ [] is iterable }} {{ 'a' is iterable }}",
        &expect!["False True True"],
    );
}

#[test]
fn a_template_without_a_system_turn_has_it_in_the_first_of_the_user() {
    check(
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}",
        &expect![[r#"
            [user]Be kind.

            Hi <b> & "you"[assistant]<think>
            hm
            </think>

            Hello[user]Bye"#]],
    );
}

#[test]
fn effort_is_said_as_the_template_knows_it() {
    let said = |source: &str| {
        let template = ChatTemplate::new(source, SpecialTokens::default()).unwrap();
        let efforts = [
            None,
            Some(Effort::Off),
            Some(Effort::Low),
            Some(Effort::Medium),
            Some(Effort::High),
        ];
        let said = efforts.map(|effort| {
            let conversation = Conversation {
                effort,
                ..Conversation::default()
            };
            template.render(&conversation, 0).unwrap()
        });
        said.join("|")
    };
    expect!["medium|low|low|medium|high"]
        .assert_eq(&said("{{ reasoning_effort | default('medium') }}"));
    expect!["high|none!|low|high|high"].assert_eq(&said(
        "{{ reasoning_effort | default('high') }}{% if reasoning_effort == 'none' %}!{% endif %}",
    ));
    expect!["<think>||<think>|<think>|<think>"].assert_eq(&said(
        "{{ '' if enable_thinking is defined and enable_thinking is false else '<think>' }}",
    ));
}

#[test]
fn the_date_is_an_argument() {
    check(
        "{{ strftime_now('%d %B %Y') }}",
        &expect!["01 January 2025"],
    );
}

#[test]
fn a_template_may_refuse() {
    let refused = render("{{ raise_exception('roles must alternate') }}", &talk());
    assert_eq!(
        refused,
        Err(RenderError::Refused("roles must alternate".to_owned()))
    );
}

#[test]
fn a_template_that_does_not_end_runs_out_of_fuel() {
    let begun = std::time::Instant::now();
    let nested = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}";
    assert_eq!(render(nested, &talk()), Err(RenderError::OutOfFuel));
    let recursive = "{% macro again() %}{{ again() }}{{ again() }}{% endmacro %}{{ again() }}";
    assert!(render(recursive, &talk()).is_err());
    let growing = "{% set ns = namespace(t='x') %}{% for a in range(90) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}";
    assert_eq!(render(growing, &talk()), Err(RenderError::OutOfFuel));
    assert!(
        begun.elapsed().as_secs() < 20,
        "a hostile template must end soon"
    );
}

#[test]
fn what_is_no_template_is_an_error() {
    let broken = ChatTemplate::new("{% for %}", SpecialTokens::default());
    assert!(matches!(broken, Err(TemplateError::Syntax(_))));
    let long = ChatTemplate::new(&"x".repeat(SOURCE_BYTES_MAX + 1), SpecialTokens::default());
    assert!(matches!(long, Err(TemplateError::TooLong { .. })));
}

#[test]
fn the_file_beside_the_weights_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ChatTemplate::load(folder.path()).unwrap().is_none());
    let rendered = || {
        ChatTemplate::load(folder.path())
            .unwrap()
            .unwrap()
            .render(&Conversation::default(), 0)
            .unwrap()
    };

    let list = r#"{"chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "list {{ bos_token }}"}],
        "bos_token": {"content": "<s>"}}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), list).unwrap();
    assert_eq!(rendered(), "list <s>");
    std::fs::write(folder.path().join("chat_template.jinja"), "file").unwrap();
    assert_eq!(rendered(), "file");
}

#[test]
fn instructions_between_turns_are_the_users_words_where_a_template_refuses_them() {
    let strict = "{% for m in messages %}{% if m.role == 'system' and not loop.first %}\
         {{ raise_exception('instructions come first') }}{% endif %}[{{ m.role }}] {{ m.content }}\n{% endfor %}";
    let talk = [
        message(Role::System, "Be kind."),
        message(Role::User, "Hi"),
        message(Role::System, "Tools: none."),
        message(Role::Assistant, "Hello"),
        message(Role::System, "Be brief."),
        message(Role::User, "Bye"),
    ];
    expect![[r"
        [system] Be kind.
        [user] Hi

        Tools: none.
        [assistant] Hello
        [user] Be brief.

        Bye
    "]]
    .assert_eq(&render(strict, &talk).unwrap());
    // A template that takes them has them as they are.
    let open = "{% for m in messages %}{{ m.role[0] }}{% endfor %}";
    assert_eq!(render(open, &talk).unwrap(), "susasu");
    // What else it refuses is refused.
    let closed = "{{ raise_exception('never') }}";
    let refused = Err(RenderError::Refused("never".into()));
    assert_eq!(render(closed, &talk), refused);
}
