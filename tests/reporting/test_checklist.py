"""The checklist says what the records know, and names what they do not as gaps."""

import re

from medseg.reporting import checklist
from medseg.reporting.comparison import compare


def test_records_answer_and_gaps_are_named(runs):
    found = checklist.table(compare(runs))
    lines = found.text.splitlines()
    (truth,) = [line for line in lines if line.startswith("Truth")]
    assert "gap: the records do not say" in truth
    (chosen,) = [line for line in lines if "final weights" in line]
    assert chosen.endswith("highest validation Dice")
    (networks,) = [line for line in lines if "inputs and outputs" in line]
    assert networks.endswith("attention-unet, dilated-unet resnet34, Unet resnet50, Unet efficientnet-b1")
    (hardware,) = [line for line in lines if "Hardware and time" in line]
    assert hardware.endswith("test device; 40 min of training together")  # .9, .78, .89, .87 and .55 of 600 s
    answered, all_points, gaps = map(int, re.match(r"(\d+) of (\d+) points .*?, (\d+) are gaps", lines[-1]).groups())
    assert answered + gaps == all_points == len(lines) - 3
    assert sum("gap: " in line for line in lines) == gaps > 5


def test_what_a_record_lacks_becomes_a_gap(runs, tmp_path):
    compared = compare(runs[:1])
    full = checklist.table(compared).text
    del compared.configurations[0].records[0]["selection"]
    less = checklist.table(compared).text
    assert less.count("gap: ") == full.count("gap: ") + 1
