"""Cells of notebooks that toy studies share."""

#: The parameters cell of ``3_evaluate``, then its other cells.
EVALUATE = (
    "run_id: str = ''  # id of a run",
    "from medseg.evaluation.common import load_predictor\nfrom medseg.evaluation.evaluator import evaluate\n"
    "from medseg.evaluation.rules import segmenter\nfrom medseg.experiments import runs",
    "trained = runs.find_run('toy', run_id)\ndataset = runs.dataset_of(trained)",
    "with runs.evaluating(trained):\n"
    "    evaluate(trained, segmenter(trained, load_predictor(trained), dataset), dataset)",
)
#: The cells of ``2_train`` behind the one with the parameters.
TRAIN = (
    "from medseg.datasets import index\nfrom medseg.experiments import params, runs\n"
    "from medseg.studies.toy.level import train",
    "parameters = params.of_notebook('toy/2_train', globals())\ndataset = index.load(data)\n"
    "run = runs.prepare_run('toy', '2_train', parameters, dataset)",
    "with runs.training(run, 'toy', '2_train', parameters, dataset):\n    train(run, parameters)",
)
#: ``4_results``: the parameters cell, then its other cells.
RESULTS = (
    "sweep: str = ''  # name of a started sweep\nout: str = ''  # CSV to write the means to",
    "from medseg import atomic, project\nfrom medseg.experiments import runs\n"
    "from medseg.reporting import answer, comparison, curves, results, statistics",
    "compared = comparison.compare(runs.all_runs('toy'))",
    "answer.claim(compared)",
    "results.table(compared)",
    "curves.learning(compared)",
    "atomic.write_text(project.resolve(out), results.means(compared).to_csv(index=False))",
)
