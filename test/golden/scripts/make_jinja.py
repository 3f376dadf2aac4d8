"""Renders about a hundred expressions, and chat templates in the forms of real models, with Jinja as set up by Transformers.

Run: python make_jinja.py ../jinja      (transformers 5.24.0, Jinja 3.1.6; the clock of templates is set to 2024-07-04 15:05:09)
Writes expressions.json (template, variables, output or null for an error) and conversations.json (the same for the templates in
templates/, with the spans of `{% generation %}` in characters).
"""

import datetime
import json
import sys
from pathlib import Path

import transformers.utils.chat_template_utils as chat

OUT = Path(sys.argv[1])


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 4, 15, 5, 9)


chat.datetime = Clock

VARIABLES = {
    "s": "Hello, World", "e": "", "u": "héllo 😀 wörld", "n": 7, "z": 0, "neg": -7, "f": 2.5, "t": True, "no": False, "nothing": None,
    "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "mixed": [1, "1", 1.5, None, True, [1, 2], {"a": 1}], "d": {"b": 2, "a": 1, "items": "own", "é": "ü\n\"\\"},
    "people": [{"name": "Ann", "age": 31, "in": {"x": 1}}, {"name": "bob", "age": 7, "in": {"x": 2}}, {"name": "Cy", "age": 31}], "empty": [], "gaps": [None, {"a": None}, None], "void": {"x": None, "l": [1, None], "n": [None, None]}, "nested": {"a": {"b": [10, {"c": "deep"}]}},
    "html": "<a href='x'>&amp;</a>", "lines": "one\n  two\r\n\nthree ", "big": 12345678901234567890, "small": 1e-7, "large": 1e22, "long": "The quick brown fox jumps over the lazy dog",
}

EXPRESSIONS = r'''
true; True; false; none; None; t; nothing; missing; [true, none, missing]; {"a": none, 1: true}; (1,); (1, 2); 1, 2; (); []; {}; f; 1.0; 1e3; 1e16; 1e15; 123456789012345678; 0.1 + 0.2; small; large; big; -0.0; 1e-5; 0.0001; 1_000; 0x1f; 0b11; 0o17; 5e-324
"" == false; "" != false; 0 == false; 1 == true; 1 == 1.0; "1" == 1; none == false; [] == false; [1] == [true]; {"a":1} == {"a":1.0}; (1,) == [1]; missing == missing; missing == none; "a" < "b"; "Z" < "a"; "a" < 1; [1,2] < [1,3]; none < 1; true < 2; 1 < 2 < 3; 3 > 2 > 2; 1 < 3 > 2; 1 == 1 != 2; (1,2) < (1,); "😀" > "\uffff"
7 % 3; -7 % 3; 7 % -3; -7 % -3; -7.5 % 2; 7 // 2; -7 // 2; 7 // -2; -7.5 // 2; 7 / 2; 6 / 2; 1 / 0; 1 % 0; 1 // 0; 2 ** 10; 2 ** -1; 2 ** 0.5; -2 ** 2; 2 ** 3 ** 2; (-8) ** (1/3); 1 + true; "a" * 3; 3 * "ab"; [1] * 2; "a" * -1; "a" + 1; "a" + "b"; [1] + [2]; (1,) + (2,); [1] + (2,); 1 ~ "a" ~ none; "a" ~ missing ~ "b"; missing + 1; 1 + missing; -missing; -"a"; +true; -true; - 3|abs; -3|abs; (-3)|abs; 10 - 2 - 3; 2 + 3 * 4; 2 * 3 % 4; 5 - -2; not 1 == 2; not not 0; 2**100; 9007199254740993 + 1; big * big; 1.5e300 * 1e10; 10 // 0.3; 1e308 * 10
"%s is %d" % ("a", 3); "%05.2f|%x|%-5s|" % (3.14159, 255, "ab"); "%(k)s" % {"k": 1}; "%s" % l; "%%" % (); "%r" % "a'b"; "%d" % "x"; "%s %s" % ("a",); "%+d" % 3; "%e" % 12345.678; "%c" % 65; "%s" % none; "%.2s" % "abc"; "%i" % 3.9
s[0]; s[-1]; s[99]; s[1:4]; s[::-1]; s[::2]; s[-5:]; s[:-7]; s[5:2]; u[1]; u[6]; u[6:8]; u[::-1]; l[0]; l[-1]; l[5]; l[1:]; l[::-1]; l[-1::-2]; l[10:]; l[:2]; l[::0]; (1,2,3)[::-1]; (1,2)[0]; "abc"[true]; l["a"]; d["a"]; d.a; d["x"]; d.x; d.x.y; d["é"]; d.items; d["items"]; nested.a.b[1].c; nested["a"]["b"][0]; nested.q.r; s.x; nothing.x; nothing["x"]; missing.x; missing["x"]; n.x; "abc".0; l.0; l[0:2][1]; "x"[0][0]; range(5)[1:3]; range(5)[-1]; range(10)[::3]|list; l[none:2]; l[:none]; l["0"]; l[1.0]; s[n:]; d[l]; d[none]
1 in l; 9 in l; "1" in l; "ell" in s; "" in s; 1 in s; "a" in d; "own" in d; "a" not in d; none in [none]; missing in l; 1 in missing; 1 in none; true in [1]; "b" in ("a", "b"); 3 in range(5); 1.0 in l; not 1 in l; "a" in "abc" and "d" not in "abc"; 1 in 5
1 and 2; 0 and 2; 0 or "x"; "" or none; none or false; 1 and ""; missing or 1; "yes" if t; "yes" if no; "yes" if no else "no"; 1 if 0 else 2 if 0 else 3; (1 if t else 2) + 1; not missing; 1 or 1/0; 0 and 1/0; "a" if missing else "b"; [] or {}; (none or 1) and 2
t is true; t is sameas true; 1 is true; n is odd; n is even; z is even; f is odd; missing is defined; s is defined; nothing is defined; missing is undefined; nothing is none; missing is none; n is number; t is number; t is integer; n is integer; f is float; n is float; s is string; l is string; l is sequence; s is sequence; d is sequence; d is mapping; l is mapping; l is iterable; s is iterable; n is iterable; missing is iterable; none is iterable; d is iterable; n is divisibleby 7; n is divisibleby(2); n is not divisibleby 2; n is eq 7; n is equalto 7; n is ne 7; n is gt 3; n is lt 3; n is ge 7; n is le 7; n is greaterthan 3; n is lessthan 3; 1 is in l; 1 is in [1]; "A" is upper; "a" is lower; s is lower; range is callable; s is callable; s.upper is callable; l is boolean; t is boolean; no is false; z is false; "abs" is filter; "nofilter" is filter; "odd" is test; n is nosuch; n is sameas n; none is sameas none; html is escaped; n is not none; n is not odd or t; n is odd and t; not n is odd; l|length is gt 2; d.x is defined; d.x.y is defined; nothing.x is defined; l[9] is defined; (range(3)) is sequence; l|map("abs") is iterable
s|upper; s|lower; s|title; "hello-wORLD foo(bar) x's"|title; s|capitalize; "éCOLE ßa"|capitalize; "ßa"|title; s|length; u|length; l|length; d|length; n|length; missing|length; none|length; s|count; s|first; s|last; l|first; l|last; empty|first; empty|last; d|first; u|last; l|sum; l|sum(start=10); people|sum(attribute="age"); ["a"]|sum; l|min; l|max; words|min; words|max; words|max(case_sensitive=true); empty|max; people|max(attribute="age")
l|sort; l|sort(reverse=true); words|sort; words|sort(case_sensitive=true); people|sort(attribute="name")|map(attribute="name")|list; people|sort(attribute="age,name")|map(attribute="name")|join; mixed|sort; d|dictsort; d|dictsort(by="value"); d|dictsort(reverse=true); words|unique|list; words|unique(case_sensitive=true)|list; [1,1,2]|unique|join; l|reverse|list; s|reverse; d|reverse|list; l|list; s|list; d|list; none|list; missing|list; 5|list; u|list
l|join; l|join(", "); words|join("-"); people|join(", ", attribute="name"); missing|join; [1, none, true]|join("|"); s|join("."); people|map(attribute="name")|join(","); people|map(attribute="in.x")|list; people|map(attribute="in.x", default="?")|join(","); people|map(attribute="nope")|list; words|map("upper")|list; [[1,2],[3]]|map("join", "-")|list; words|map("replace", "a", "z")|list; people|selectattr("age", "gt", 10)|map(attribute="name")|list; people|rejectattr("in")|list|length; people|selectattr("in")|list|length; people|selectattr("name", "equalto", "bob")|first; l|select("odd")|list; l|reject("odd")|list; mixed|select|list|length; mixed|select("string")|list; people|groupby("age"); people|groupby("age")|length; people|groupby("in.x", default=0)|map("first")|list; (people|groupby("age"))[0].grouper; (people|groupby("age"))[1].list|length; people|selectattr("in.x", "==", 2)|map(attribute="name")|first; l|map("string")|join("+"); l|map("nosuch")|list
missing|default("x"); nothing|default("x"); nothing|default("x", true); e|default("x"); e|default("x", boolean=true); missing|d("y"); d.x|default("x"); missing.y|default("x"); no|default("x", true)
"  x \n"|trim; "xxaxx"|trim("x"); s|replace("l", "L"); s|replace("l", "L", 2); s|replace("", "-"); n|replace("7", "8"); "a b  c\td"|wordcount; long|truncate(20); long|truncate(20, true); long|truncate(20, false, "!"); long|truncate(20, leeway=30); long|truncate; "ab"|center(7); "x"|center(4); lines|indent; lines|indent(2, true); lines|indent(first=true); lines|indent("> "); lines|indent(2, blank=true); long|wordwrap(15); "%s-%s"|format("a", 1); "%(a)s"|format(a=3); "a"|string; 1.5|string; none|string; l|string; missing|string; ["a", 'b\'c', "d\"e", "f'\"g", "\n\t\\\x00\x7fé😀\u200b"]; {"k": ["v", 1.0, none]}; ("a",)
"3"|int; "3.9"|int; "x"|int; "x"|int(5); 3.9|int; -3.9|int; "0x1f"|int(base=16); "ff"|int(0, 16); none|int; " 42 "|int; true|int; "1_000"|int; "3.5"|float; "x"|float; "x"|float(1.5); 3|float; "inf"|float; "1e3"|int; 2.5|round; 3.5|round; -2.5|round; 2.675|round(2); 0.125|round(2); 1234.5|round(-2); 2.1|round(0, "ceil"); 2.9|round(0, "floor"); 2|round; 42.55|round(1); "3"|abs; -3.5|abs; true|abs; 15|round(-1); 25|round(-1)
[1,2,3,4,5,6,7]|batch(3)|list; [1,2,3,4,5,6,7]|batch(3, "x")|list; [1,2,3,4,5,6,7]|slice(3)|list; [1,2,3,4,5,6,7]|slice(3, 0)|list; d|items|list; missing|items|list; d.items()|list; d.keys()|list; d.values()|list; d.items(); d.keys(); d.values()|first; nested|items|first; d|attr("items"); d|attr("a"); n|attr("x"); people|first|attr("name"); people[0]|items|map("first")|join(",")
d|tojson; mixed|tojson; nested|tojson(indent=2); d|tojson(indent=4, sort_keys=true); d|tojson(separators=(",", ":")); u|tojson; u|tojson(ensure_ascii=true); d|tojson(true); html|tojson; "\x00\x1f\x7f\u2028</script>\t\b\f\r\n\"\\"|tojson; (1, 2)|tojson; 1.0|tojson; large|tojson; small|tojson; none|tojson; missing|tojson; {1: 2, true: 3, none: 4, 1.5: 5}|tojson; []|tojson(indent=2); {}|tojson(indent=2); [[]]|tojson(indent=1); l|map("abs")|tojson; l|map("abs")|list|tojson; 1e400|tojson; -1e400; range(3)|tojson; "a"|tojson|tojson; d|tojson(indent="--"); people|tojson(sort_keys=true); d.items()|tojson; (s|tojson) ~ "x"; namespace(a=1)|tojson; l|tojson(indent=0)
s.upper(); s.lower(); s.title(); "they're bill's"."title"(); "they're bill's x2y".title(); s.capitalize(); s.swapcase(); "  a ".strip(); "xxaxx".strip("x"); "xya".lstrip("yx"); "axy".rstrip("yx"); "\u2003a\x85\ufeff".strip(); "a,b,,c".split(","); " a  b ".split(); "a b c".split(" ", 1); "a,b,c".rsplit(",", 1); "abc".split(""); lines.splitlines(); lines.splitlines(true); "a\x0bb\x1cc\u2028d".splitlines(); s.startswith("He"); s.startswith(("x", "He")); s.startswith("l", 2); s.endswith("ld"); s.endswith(("x",)); s.replace("l", "L"); s.replace("l", "L", 1); s.replace("", "-"); s.find("o"); s.find("zz"); s.rfind("o"); s.find("o", 5); s.index("o"); s.index("zz"); s.count("l"); "aaa".count("aa"); "".count(""); u.find("w"); "abc".isalpha(); "ab1".isalnum(); "12".isdigit(); "²".isdigit(); "²".isdecimal(); "½".isnumeric(); "½".isdigit(); " \t".isspace(); "".isspace(); "AB".isupper(); "ab1".islower(); "A b".istitle(); "ab".isascii(); "a".isidentifier(); "7".zfill(3); "-7".zfill(4); "ab".center(5, "*"); "ab".ljust(4) ~ "|"; "ab".rjust(4, "."); "a-b-c".partition("-"); "a-b-c".rpartition("-"); "abc".partition("x"); "prefix-x".removeprefix("prefix-"); "x.txt".removesuffix(".txt"); ", ".join(words); ", ".join(l); "-".join("abc"); "a\tb".expandtabs(4); "ß".upper(); "ΑΣ".lower(); "İ".lower()|length; "x".nosuch(); s.upper; "abc".join; "{} {}".format(1, "a"); "{0} {1} {0}".format("a", "b"); "{a}".format(a=3); "{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}".format("a", "b", "c", 42, 3.14159, 1234567); "{!r}".format("a"); "{{}}".format(); "{}".format(); "{:x}".format(255); "{:%}".format(0.5); "{0[a]}".format(d); "{:+d}".format(3); "{:s}".format("x"); "{:e}".format(12345.678); "{:10.3f}|".format(2.0); "{}".format(none); "{:*^9}".format("mid"); "a".encode(); s.__class__; s.__class__.__mro__; "{0.__class__}".format(s)
d.get("a"); d.get("x"); d.get("x", 5); d.get("items"); d.update({"a": 2}); d.pop("a"); d.copy(); l.append(1); l.pop(); l.index(2); l.index(9); l.count(1); l.copy(); l.sort(); (1,2,1).count(1); d.setdefault("a", 1); d.clear(); l.extend([1]); d.a.b.c; n.bit_length(); f.is_integer(); d.keys()|length; "x" in d.keys(); 1 in d.values(); d.items()[0]
range(3); range(3)|list; range(1, 4)|list; range(5, 0, -2)|list; range(0)|list; range(100001)|length; range(10**9)|length; range(3)|length; range(1.5); range(1,2,0); dict(a=1, b=2); dict({"x": 1}, y=2); dict([("a", 1)]); namespace(a=1).a; namespace(a=1).b; namespace(_a=1); namespace({"x": 2}).x; cycler("a", "b").next(); joiner("-")(); lipsum(1)|length > 0; raise_exception("stop"); strftime_now("%Y-%m-%d"); strftime_now("%d %B %Y, %A %a %b %-d %H:%M:%S %I %p %j %y %%"); strftime_now("%e|%U|%w|%u|%D|%R|%T|%F|%h|%C|%n|%t|%V|%G|%z|%Z"); nosuch(); s(); none(); missing(); 1(); nosuch.x(); dict.fromkeys(["a"], 1)
"a" "b"; 'it\'s'; "tab\there"; "\x41\u00e9\U0001F600"; "\d\q"; "a\
b"; "\101"; "\N{BULLET}"; 'a"b'; "é"; "\\n"; "{{ x }}"; "{% raw %}"; [1, 2,]; {"a": 1,}; {"a": {"b": [1]}}.a.b[0]; [[1, 2], [3]][0][1]; (1)|string; ((1, 2))|length; ({})|length; [1, [2, [3]]]|string; {(1,2): 3}; {1.0: "a"}[1]; {true: "a"}[1]; {[1]: 2}; {"b": 1, "a": 2, "b": 3}; l is not none and l|length > 0; (l|length - 1); l|length-1; l | length * 2; s|lower|replace("h", "j")|title; s.lower().replace("h", "j").title(); (s ~ 1)|length; n|string ~ "x"; "a" ~ 1 + 2; 1 + 2 ~ "a"; 2 * "a" ~ "b"; 1 ~ 2 == "12"; -1 ** 2; 1 if 2 is odd else 3; 1|default(2) + 3; 4 is divisibleby 2 and 3; none|default("a", true) ~ "b"; "abc"|map("upper")|join; "a.b".split(".")[0]; [s, u][0][0]; x.y if x else 1; d["a"] + d["b"]; loop; self; varargs; {**d}; [*l]; s if s else; 1 +; (1; [1; "a; s |; s is; s..x; a b; 1 = 1; x := 1; lambda; @; s!; $; 1 2; not; %; }} ; {# x #}
void.x; void["x"]; void.x.y; void.x[0]; void.x is none; void.x is defined; void.x is sequence; void.x|default("d"); void.x|tojson; void.x|length; void.x|list; void.x|map("string")|list; void.x|select|list; void.x|selectattr("a")|list; void.x|reject("none")|list; void.x|unique|list; void.x ~ ""; void.get("x", 5); void.get("y", 5); void.get("y", none); void.l[1]; void.l|last; gaps[0]; gaps|first; gaps[1].a; gaps|map(attribute="a")|list; gaps[1:2]|map(attribute="a", default="q")|list; gaps|map("default", "d")|list; void.n|sort|list; void.n|first is none; (none, 1)[0] is none; none|attr("x"); dict.fromkeys([none]); namespace(a=none).a; namespace(a=none).a is none; raise_exception(none); void|items|map("last")|list; [void]|groupby("x"); "{}".format(void.x); "%s" % void.x
html|escape; html|e; html|safe; (html|safe)|length; html|safe ~ "<"; "<" ~ (html|safe); (html|safe ~ "<") is escaped; html|safe + "<b> & '\""; "<b>" + (html|safe); html|safe + html|safe; (html|safe + "<") is escaped; d|tojson|safe ~ none; html|safe + 1; 1 + (html|safe); html|safe + none; (html|safe + html)|length; (html|safe)[0]; (html|safe)[-1] is escaped; (html|safe)[99]; (html|safe)[1:3]; (html|safe)[::-1] is escaped; html|safe in html; "href" in (html|safe); (html|safe) in [html]; html|safe == html; html == html|safe; html|safe != "x"; [html|safe] == [html]; html|safe < "z"; (html|safe) * 2; "%s" % (html|safe); (html|safe)|replace("<", "["); (html|safe)|upper; (html|safe)|tojson; (html|safe)|trim; (html|safe).split(" ")|length; (html|safe).strip() is escaped; (html|safe) is string; [html|safe, "<"]|join("&"); (html|safe)|string is escaped; (html|safe)|list|length; {(html|safe): 1}[html]; html|striptags; html|urlencode; d|xmlattr; 1000|filesizeformat; l|random; l|pprint; html|forceescape; "http://a.b"|urlize
'''.strip("\n")

TEMPLATES = [
    "{% macro m(a, b=5) %}{{ a }}{{ b }}{% endmacro %}{{ m(none, none) }}|{{ m(none) }}|{{ m(b=none) }}|{{ m() }}", "{% for x in gaps %}{{ loop.previtem }},{{ loop.nextitem }}|{% endfor %}", "{% set q = void.x %}{{ q }}{% for k, v in void|items %}{{ k }}={{ v }};{% endfor %}",
    "{% macro m(a) %}{% if a is mapping %}{{ '{' }}{% for k in a %}{{ k }}:{{ m(a[k]) }},{% endfor %}{{ '}' }}{% elif a is sequence and a is not string %}[{% for i in a %}{{ m(i) }},{% endfor %}]{% else %}{{ a }}{% endif %}{% endmacro %}{{ m(void) }}{{ m(gaps) }}",
    "{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for x in empty %}a{% else %}none{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.previtem }}{{ loop.nextitem }}|{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}", "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}E{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}", "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% if t %}{% set q = 5 %}{% endif %}{{ q }}", "{% for a in l %}{% for b in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for x in missing %}a{% else %}b{% endfor %}", "{% for x in nothing %}a{% endfor %}", "{% for x in 5 %}a{% endfor %}",
    "{% for x in s %}{{ x }}.{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }} {% endfor %}", "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}", "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a %}x{{ n }}y{% endset %}[{{ a }}]", "{% set a | upper %}abc{% endset %}{{ a }}",
    "{% set d.x = 1 %}", "{% set missing.x = 1 %}", "{% set n = n + 1 %}{{ n }}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}", "{% with %}{% set a = 3 %}{{ a }}{% endwith %}{{ a }}", "{% filter upper %}abc{{ s }}{% endfilter %}",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=4, a=5) }} {{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}in{% endcall %}", "{% macro m() %}{{ caller(3) }}{% endmacro %}{% call(x) m() %}{{ x * 2 }}{% endcall %}", "{% macro f(k) %}{% if k > 0 %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro m(a) %}{{ n }}{% set n = 1 %}{{ n }}{% endmacro %}{{ m(1) }}{{ n }}", "{% set later = 1 %}{% macro m() %}{{ later }}{% endmacro %}{% set later = 2 %}{{ m() }}", "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m(x, y=x) %}{{ y }}{% endmacro %}{{ m(4) }}", "{% macro m() %}a{% endmacro %}{{ m.name }}{{ m.arguments }}", "{{ m }}{% macro m() %}{% endmacro %}",
    "{% for item in tree recursive %}{{ item.v }}{% if item.c %}({{ loop(item.c) }}){% endif %}{% endfor %}",
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "  {% if t %}\n  b\n  {% endif %}\n  c", "a {%- if t %} b {% endif -%} c", "a {%+ if t %}\n b {% endif +%}\n c", "{{ 1 }}\n{{ 2 }}\n", "{{- 1 -}} \n {{- 2 }}", "x  {{ 1 }}  y", "x\n  {# c #}\n  y", "x {#- c -#} y", "{# multi\nline #}x", "{% raw %}{{ a }}{% endraw %}", "{%- raw -%} {{ a }} {%- endraw -%} z", "{% raw %}\n{{ a }}\n{% endraw %}\nb", "a\r\nb\rc\n\n", "\n\na\n\n", "   {{ 1 }}", "\t {% if t %}x{% endif %}", "a{% if t %}   {% endif %}b", "a\n\n  {%- if t %}\n\n  b{% endif %}", "{% if t -%}\n   a\n{%- endif %}", "{% set x = 1 -%}\n\n y", "x{{ '\n' }}", "{{ 'a' }}\n", "{{ 'a' }}\n\n", "{% if t %}\n\nx{% endif %}\n\n", "a \u00a0{%- if t %}b{% endif %}", "a\x0b\n{% if t %}b{% endif %}", "{% if t %}a{% elif no %}b{% else %}c{% endif %}", "{% if no %}a{% elif t %}b{% else %}c{% endif %}", "{% if no %}a{% elif 0 %}b{% else %}c{% endif %}", "{% if 1, 0 %}a{% endif %}", "{% if not 1 in l %}x{% else %}y{% endif %}",
    "{% generation %}a{% endgeneration %}b", "x{%- generation -%} a {%- endgeneration -%} b", "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q }}", "{% set q = 2 %}{% generation %}{{ q }}{% endgeneration %}", "{% for x in l %}{% generation %}{{ loop.index }}{{ x }}{% endgeneration %}{% endfor %}",
    "{% set g = l|select('odd') %}{{ g|list }}{{ g|list }}", "{% set g = l|map('string') %}{% if g %}yes{% endif %}{{ g|join }}", "{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}", "{% for g in people|groupby('age') %}{{ g.grouper }}:{{ g.list|length }} {% endfor %}", "{% for a, items in people|groupby('age') %}{{ a }}{{ items|map(attribute='name')|join }} {% endfor %}",
    "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% block b %}in{% endblock %}", "{% nosuch %}", "{% for %}", "{% if %}", "{% endif %}", "{% for x in l %}", "{{ 1", "{% if t }}", "{# open", "{{ }}", "{% set %}", "{% set 1 = 2 %}", "{% set x %}", "{% break %}", "{% macro %}{% endmacro %}", "{% do 1 %}", "{% print 1, 2 %}", "{% autoescape true %}{{ html }}{% endautoescape %}", "{% call 1 %}{% endcall %}", "{% for loop in l %}{% endfor %}", "{% set loop = 1 %}{{ loop }}", "{% for x in l %}{{ x }}{% endfor %}{{ x }}", "{% set l2 = l + [4] %}{{ l2 }}{{ l }}", "{{ l.append(4) }}{{ l }}", "{% set x = 'a' %}{% if no %}{% set x = 'b' %}{% endif %}{{ x }}", "{% for x in l %}{% set y = x %}{% endfor %}{{ y is defined }}", "{% for i in range(3) %}{% if y is defined %}{{ y }}{% endif %}{% set y = i %}{% endfor %}", "{% set x = 1 %}{% for i in range(2) %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}", "{% if true %}{{ messages is defined }}{% endif %}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns['b'] = 2 %}{{ ns.a }}", "{% set ns = namespace(a=[]) %}{% set ns.a = ns.a + [1] %}{{ ns.a }}", "{% set ns = namespace(found=false) %}{% for x in l %}{% if x == 1 %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}", "{% for k, v in d|dictsort %}{{ k }}{{ v }}{% endfor %}", "{% for x in l|sort %}{{ x }}{% endfor %}", "{% for x in l[::-1] %}{{ x }}{% endfor %}", "{% for x in (1, 2) %}{{ x }}{% endfor %}", "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{% for x in l if x is odd %}{{ x }}{% else %}E{% endfor %}", "{% for x in range(2) %}{% for y in range(2) %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}", "{{ s if t else e }}{{ '' if no }}|", "{%if t%}x{%endif%}", "{{s}}{{-n}}", "{{ -n }}", "{{+n}}", "{{ '}}' }}", "{{ '%}' }}{% if '%}' %}x{% endif %}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': 1}}}", "{% set x = {'a': 1} %}{{ x.a }}", "a{{ none }}b", "{{ [none, true]|join(',') }}", "{{ messages }}", "{% for x in l -%} {{ x }} {%- endfor %}", "{% for x in l %} {{- x -}} {% endfor %}",
]


def conversations():
    tool = {"type": "function", "function": {"name": "get_weather", "description": "Gets the weather <now> & \"later\".", "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "Name, é"}, "days": {"type": "integer", "default": 3}, "tags": {"type": "array", "items": {"type": "string"}}, "unit": {"type": "string", "enum": ["C", "F"]}, "deep": {"type": "object", "properties": {"x": {"type": "array", "items": {"type": "object"}}, "y": {"type": ["string", "null"]}}, "required": ["x"]}}, "required": ["city"]}, "return": {"type": "string"}}}
    call = lambda arguments, id_="abcdef123": {"id": id_, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    user, answer = {"role": "user", "content": "What's up? \n"}, {"role": "assistant", "content": "  Not much.\nYou?"}
    system = {"role": "system", "content": "Be  brief. /no_think"}
    tools = dict(tools=[tool, {"type": "function", "function": {"name": "noop", "description": "d"}}])
    return [
        (dict(messages=[user])), (dict(messages=[user, answer])), (dict(messages=[system, user, answer, user])), (dict(messages=[user, answer, user, answer])), (dict(messages=[user, user])), (dict(messages=[answer])),
        dict(messages=[system, user], **tools), dict(messages=[user, {"role": "assistant", "tool_calls": [call({"city": "Zürich", "days": 2, "x": None, "y": True, "z": 1.5})]}, {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": "22 °C"}, answer], **tools),
        dict(messages=[user, {"role": "assistant", "content": "Let me see.", "tool_calls": [call({"city": "A"}), call({"city": "B"}, "b23456789")]}, {"role": "tool", "tool_call_id": "abcdef123", "content": "1"}, {"role": "tool", "tool_call_id": "b23456789", "content": "2"}, answer]),
        dict(messages=[user, {"role": "assistant", "content": None, "tool_calls": [call('{"city": "A"}')]}, {"role": "tool", "tool_call_id": "abcdef123", "content": {"deg": 1}}], **tools),
        dict(messages=[user, {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nYes."}, user, {"role": "assistant", "reasoning_content": "Think.", "content": "No."}]),
        dict(messages=[user, {"role": "assistant", "thinking": "T1", "content": "No."}], enable_thinking=False), dict(messages=[{"role": "user", "content": [{"type": "text", "text": " look "}, {"type": "image"}]}, answer]),
        dict(messages=[{"role": "developer", "content": "D"}, user], reasoning_effort="high"), dict(messages=[{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]), dict(messages=[{"role": "user", "content": "😀<|im_end|>{{ x }}\r\n"}, {"role": "assistant", "content": "é\n\n"}]),
        dict(messages=[system]), dict(messages=[{"role": "critic", "content": "x"}]), dict(messages=[{"role": "system", "content": "s", "tools": "T"}, user, answer]), dict(messages=[user, answer, {"role": "tool", "tool_call_id": "x", "content": "y"}]),
    ]


def render(source, variables, **more):
    try:
        template = chat._compile_jinja_template(source)
    except Exception:
        return None
    try:
        blocks, spans = [], []
        with template.environment.activate_tracker(blocks, spans):
            for block in template.generate(**variables, **more):
                blocks.append(block)
        text = "".join(blocks)
        # Text that contains an address, or is random, cannot be reproduced.
        return None if " at 0x" in text else [text, [list(s) for s in spans]]
    except Exception:
        return None


def main():
    variables = dict(VARIABLES, tree=[{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4}]}]}, {"v": 5}])
    sources = ["{{ " + e.strip() + " }}" for line in EXPRESSIONS.replace("a\\\nb", "a\0b").split("\n") for e in line.split("; ")]
    sources = [source.replace("a\0b", "a\\\nb") for source in sources] + TEMPLATES
    sources = list(dict.fromkeys(sources))
    cases = [[source, render(source, variables)] for source in sources]
    random = {"{{ l|random }}", "{{ lipsum(1)|length > 0 }}"}
    (OUT / "expressions.json").write_text(json.dumps({"variables": variables, "cases": [c for c in cases if c[0] not in random]}, ensure_ascii=False, indent=0))
    print(len(cases), sum(c[1] is None for c in cases), "errors")
    results = {}
    for path in sorted((OUT / "templates").glob("*.jinja")):
        rows = []
        for conversation in conversations():
            for prompt in (False, True):
                more = dict(conversation)
                messages = [{k: v for k, v in m.items()} for m in more.pop("messages")]
                values = dict(bos_token="<s>", eos_token="</s>", add_generation_prompt=prompt, documents=None, tools=more.pop("tools", None), **more)
                aliased = chat._alias_reasoning_fields(chat._normalize_chat_messages(messages))
                rows.append(render(path.read_text(), dict(values, messages=aliased)))
        results[path.stem] = rows
    (OUT / "conversations.json").write_text(json.dumps({"conversations": conversations(), "results": results}, ensure_ascii=False, indent=0))
    print({k: sum(r is None for r in v) for k, v in results.items()})


main()
