"""From files of text to token files.

`inputs` finds the files, `readers` read documents from them, `blocks` are the pieces of work, `forms` say what is made of a
document, and `preparation` brings them together: interrupted work goes on where it was, and the result is the same bytes.
`embedded` prepares corpora that come with neox. Nothing is imported here, so that the command line starts quickly.
"""
