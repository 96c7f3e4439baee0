"""The tables through which Python tells compiled code what to do: where each 64-bit word of them stands.

A *job* is one step of one optimizer. Its work is cut into *chunks*, rows of a table, each within one array; chunks of
one kind that follow one another form a *portion*, the unit that a thread claims. A portion names the functions that do
its phases; each is called as ``function(job, first, last)`` and gives 1 where a gradient of its chunks is bad, else 0.
"""

CACHE_LINE = 64  # bytes; words that several threads write lie in lines of their own

(
    # The table of chunks and the bytes in a row of it; gradients' addresses, scalars, block sums.
    TABLE, STRIDE, FOUND, SCALARS, SUMS,
    # The table of portions, the bytes in a row, how many; the columns to run first and second (0: none).
    PORTIONS, PORTION_STRIDE, COUNT, FIRST, SECOND,
    # The function that offers the core to others; the key of the update's random bits.
    YIELD, NOISE,
    # For the reader of gradients: how many, numpy.ndarray, their dtypes, where each one's shape ends, the shapes.
    LEAVES, NDARRAY, DTYPES, RANKS, SHAPES,
    # And: the parameters, where each must lie, the table of memory that they own and its size in bits.
    PARAMETERS, PLACES, OWNERS, OWNER_BITS,
) = range(21)  # fmt: skip
# What several threads write: portions claimed and done, and whether a gradient is bad. A cache line each.
# And how often a second phase was done: whoever is interrupted can see whether his step was made.
CLAIMED_FIRST, DONE_FIRST, CLAIMED_SECOND, BAD, APPLIED = 24, 32, 40, 48, 49
JOB_WORDS = 56

# A row of chunks: its elements, its row of scalars, whose gradient it reads and from which element on, where its block
# sums go, theta's address and that of each slot. Where a tensor is stored in fewer bits than it is computed in, there
# follow for each slot the address of its scales, and that of the master copy; 0 where there is none.
LENGTH, ROW, TENSOR, START, BLOCKS, THETA, SLOTS = range(7)

# A row of portions: its chunks, and the function of each phase; those of the reductions follow by their stages.
BEGIN, END, LOOK, APPLY, MEASURE = range(5)

# A helper's mailbox, a cache line: the job it is to help with, the bell that wakes it, whether it should stop.
TASK, BELL, STOP = range(3)
# The line before the first mailbox: what helpers need of the C library.
SYSCALL, FUTEX = range(2)
