"""Who is acting, and for whom: accounts, people, sessions, access, audit."""
