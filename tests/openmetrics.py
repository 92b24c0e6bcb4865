"""Reads stdin as OpenMetrics 1.0 and as Prometheus's text format 0.0.4 (what the textfile collector of node_exporter takes) at once, and
prints a line `NAME{labels} VALUE` for each sample. Whatever one of the two forbids ends it with a word on stderr and status 1."""
import re
import sys

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABELS = r'\{%s="(?:[^"\\\n]|\\[\\n"])*"(?:,%s="(?:[^"\\\n]|\\[\\n"])*")*\}' % (NAME, NAME)
SAMPLE = re.compile(r'(%s)(%s)? (\S+)' % (NAME, LABELS))
NUMBER = re.compile(r'[+-]?(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|Inf)|NaN')
UNITS = ('seconds', 'bytes', 'ratio')


def fail(line, why):
    sys.exit('openmetrics: %s: %r' % (why, line))


def main():
    text = sys.stdin.buffer.read().decode('utf-8')
    if not text.endswith('# EOF\n'):
        fail(text[-20:], 'does not end with # EOF')
    if '\r' in text or '\n\n' in text or text.count('# EOF') != 1:
        fail('', 'an empty line, a carriage return, or a second end')
    closed, family, seen = set(), None, set()
    for line in text.split('\n')[:-2]:
        words = line.split(' ', 3)
        if words[0] == '#':
            if len(words) != 4 or words[1] not in ('HELP', 'TYPE', 'UNIT') or not re.fullmatch(NAME, words[2]) or not words[3].strip():
                fail(line, 'no such comment')
            if family is None or family['name'] != words[2]:
                if words[2] in closed:
                    fail(line, 'a family in two places')
                if family:
                    if not family['samples']:
                        fail(line, 'the family before has no samples')
                    closed.add(family['name'])
                family = {'name': words[2], 'samples': 0, 'said': {}}
            if family['samples'] or words[1] in family['said']:
                fail(line, 'said too late, or twice')
            if words[1] == 'TYPE' and words[3] not in ('counter', 'gauge'):
                fail(line, 'a type we do not use')
            if words[1] == 'UNIT' and (words[3] not in UNITS or not words[2].endswith('_' + words[3])):
                fail(line, 'the name does not end with its unit')
            if words[1] == 'HELP' and '\\' in words[3]:
                fail(line, 'an escape in a help')
            family['said'][words[1]] = words[3]
            continue
        m = SAMPLE.fullmatch(line)
        if not m:
            fail(line, 'neither a comment nor a sample without a timestamp')
        name, labels, value = m.groups()
        if family is None or 'TYPE' not in family['said'] or 'HELP' not in family['said']:
            fail(line, 'a sample before TYPE and HELP')
        counter = family['said']['TYPE'] == 'counter'
        if name != family['name'] + ('_total' if counter else ''):
            fail(line, 'a sample of another family')
        if not NUMBER.fullmatch(value) or (counter and float(value) < 0):
            fail(line, 'no such value')
        if (name, labels) in seen:
            fail(line, 'a sample twice')
        seen.add((name, labels))
        family['samples'] += 1
        print('%s%s %s' % (name, labels or '', value))
    if not family or not family['samples']:
        fail('', 'no samples')


main()
