"""Who the subject is: how they write, what they like, what they keep saying.

In come the turns of the whole history and a background of other people; out go `writing_style`,
`vocabulary`, `response_templates`, `preferences`, `traits` and `core_identities`, the versions of
the page that the prompt is made of, each row with the raw messages it came from, and `never_says`,
the owner's word on what the twin may not say. The room writes those tables and nothing else.
Self-statements are found here (`statements`), because the memory
room needs them too.
"""
