"""KuaiRand: four hour bands × click, long_view, profile_enter, comment (macro) and like (beside it), split by time.

python -m benchmarks.kuairand --data FOLDER [--json] [--seeds N] [--final]
"""

from benchmarks.common import Benchmark, options, run, show, write_config

BENCHMARK = Benchmark("kuairand", "kuairand", ("click", "long_view", "profile_enter", "comment"))

if __name__ == "__main__":
    args = options(__doc__).parse_args()
    show(run(BENCHMARK, write_config(BENCHMARK, args), args), args.json)
