"""MovieLens 100K: three age bands × liked, loved and stars; the last tenth of each user is test.

python -m benchmarks.ml100k --data FOLDER [--json] [--seeds N] [--final]
"""

from benchmarks.common import Benchmark, options, run, show, write_config

BENCHMARK = Benchmark("ml100k", "movielens")

if __name__ == "__main__":
    args = options(__doc__).parse_args()
    show(run(BENCHMARK, write_config(BENCHMARK, args), args), args.json)
