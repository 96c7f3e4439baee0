"""The tables through which Python tells compiled code what to do: where each 64-bit word of them stands.

A *job* is one step of one optimizer. Its work is cut into *chunks*, rows of a table, each within one array; chunks of
one kind that follow one another form a *portion*, the unit that a thread claims. A portion names the functions that do
its phases; each is called as ``function(job, first, last)`` and gives 1 where a gradient of its chunks is bad, else 0.
"""

from gradstep.array.memory import CACHE_LINE

LINE = CACHE_LINE // 8  # words; those that several threads write lie in lines of their own

(
    # The table of chunks and the bytes in a row of it; gradients' addresses, scalars, block sums.
    TABLE, STRIDE, FOUND, SCALARS, SUMS,
    # The table of portions, the bytes in a row, how many; the columns to run first and second (0: none).
    PORTIONS, PORTION_STRIDE, COUNT, FIRST, SECOND,
    # The function that offers the core to others, and the one that makes Python's integers; the key of the update's
    # random bits.
    YIELD, INTEGER, NOISE,
    # For the reader of gradients: how many, numpy.ndarray, their dtypes, where each one's shape ends, the shapes.
    LEAVES, NDARRAY, DTYPES, RANKS, SHAPES,
    # And: the table of places, where all must lie that the step writes, and its rows; the table of memory that these
    # own, and its size in bits.
    PLACES, PLACE_COUNT, OWNERS, OWNER_BITS,
    # Where a metered step puts what it sums of each block.
    METERED,
) = range(23)  # fmt: skip
# What several threads write, in cache lines apart: how much of the first phase is done, whether a gradient is bad; and
# how often a second phase was done, so that whoever is interrupted can see whether his step was made.
DONE_FIRST, BAD, APPLIED = 24, 32, 33
# How many ranges the portions are shared into, one for each thread, and from there on what is claimed of each range: a
# line for each of the two phases.
RANGES, CLAIMED = 40, 48
MOST = 64  # threads: a caller remembers whom it asked in the bits of one word
JOB_WORDS = CLAIMED + 2 * MOST * LINE

# A row of chunks: its elements, its row of scalars, whose gradient it reads and from which element on, where its block
# sums go, theta's address and that of each slot. Where a tensor is stored in fewer bits than it is computed in, there
# follow for each slot the address of its scales, and that of the master copy, 0 where there is none; and the number
# that its random bits come from. Where a chain has stages of whole arrays, all of these are there, and after them the
# addresses of what is kept aside for each: theta, g.
LENGTH, ROW, TENSOR, START, BLOCKS, THETA, SLOTS = range(7)

# A row of portions: its chunks, and the function of each phase; those of the reductions follow by their stages, and
# those of the stages of whole arrays.
BEGIN, END, LOOK, APPLY, MEASURE = range(5)

# A row of places: an array object, the address and the number of its elements (-1: not looked at), the flags that it
# must have. The parameters come first, in the order of the gradients.
OBJECT, ADDRESS, ELEMENTS, FLAGS = range(4)

# A helper's mailbox, a cache line: the job it is to help with, the bell that wakes it, whether it should stop.
TASK, BELL, STOP = range(3)
# The line before the first mailbox: what helpers need of the C library, which offers a core to others by sched_yield.
SYSCALL, FUTEX, OFFER = range(3)
