"""What is made of a document: texts (`texts`), texts with masked labels (`masked`), conversations (`chats`)."""
